"""The worker: what `celery -A tasks worker` runs."""
