"""Benchmarks: one script a question, JSON on standard output."""
