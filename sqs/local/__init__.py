"""An SQS server for development, tests and one host: `python -m sqs.local`."""
