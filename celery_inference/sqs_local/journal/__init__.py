"""The journal on disk: what makes queues and messages outlive the process."""
