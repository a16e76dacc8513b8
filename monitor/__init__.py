"""Flower on SQS: queue depths, their history, drain time and metrics, in Flower's own pages."""
