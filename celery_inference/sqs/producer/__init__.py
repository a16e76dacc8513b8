"""Sending: one message a call, or ten."""
