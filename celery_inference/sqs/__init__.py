"""Queues on Amazon SQS: limits, lanes, the kombu transport, leases, dead letters, and an embedded server."""
