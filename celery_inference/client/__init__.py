"""Sending requests and waiting for their results."""
