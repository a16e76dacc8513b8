"""Inputs of requests, checked without a model: the same check for senders and workers."""
