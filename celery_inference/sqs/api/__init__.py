"""Calls of the SQS API: clients, errors of calls, backoff."""
