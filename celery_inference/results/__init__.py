"""The result store: outcomes for Celery's callers, and what inference remembers of its requests beside them."""
