"""Queue depths: read from SQS, remembered, and what they mean."""
