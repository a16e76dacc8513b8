"""What a sender holds of a request: its result, with what it was made, and what went wrong."""
