"""What a worker stops by itself, and when it goes on: lanes, models, hosts."""
