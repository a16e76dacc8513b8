"""The command `celery-inference`, for operators."""
