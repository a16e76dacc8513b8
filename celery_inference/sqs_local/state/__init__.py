"""Queues and messages in memory, without HTTP or disk."""
