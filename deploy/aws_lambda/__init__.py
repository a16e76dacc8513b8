"""A Lambda function that consumes a lane: the same tasks, from the same messages, with the same outcomes."""
