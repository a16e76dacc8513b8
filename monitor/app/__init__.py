"""Flower's application, made to work on SQS."""
