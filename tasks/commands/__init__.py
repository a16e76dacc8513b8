"""Commands of `celery -A tasks …` that are not Celery's own."""
