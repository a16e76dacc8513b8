"""One delivery of a request, from the pool's thread to its settlement."""
