"""Receiving, leases and settlement of deliveries."""
