"""HTTP and the two protocols of SQS: requests in, answers out."""
