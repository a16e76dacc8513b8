"""What a worker's log shows, and how."""
