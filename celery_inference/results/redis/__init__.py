"""Results in Redis or Valkey, pushed to who waits."""
