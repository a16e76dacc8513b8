"""`celery-inference dlq …`: dead letters listed, shown, sent again, dropped, exported, imported."""
