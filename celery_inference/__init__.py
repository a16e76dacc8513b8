"""What applications, workers, Flower and cloud functions share: sending, results, queues, settings."""
