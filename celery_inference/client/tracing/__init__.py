"""Spans of sending, for applications that trace."""
