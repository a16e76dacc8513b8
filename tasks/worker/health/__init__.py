"""What orchestrators ask a worker: whether it lives, whether it is ready, and its totals."""
