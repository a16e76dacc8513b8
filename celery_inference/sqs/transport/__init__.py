"""kombu's Transport and Channel for SQS."""
