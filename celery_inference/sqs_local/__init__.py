"""An SQS server for development, tests and one host: `python -m celery_inference.sqs_local`."""
