"""What inference remembers of its requests, written once over a table."""
