"""Payloads too large for a message, kept in a store of their own."""
