"""Celery's events and remote control over SQS alone: a fanout whose bindings are the queues' names."""
