"""What a message is on SQS: envelope, size, delay, reason, claim, delivery."""
