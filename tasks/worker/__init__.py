"""The worker process: consumer, pool, start and stop, health."""
