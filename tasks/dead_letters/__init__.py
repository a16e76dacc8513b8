"""What a worker does about dead letters, beside making them."""
