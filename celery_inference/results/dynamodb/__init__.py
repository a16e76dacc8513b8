"""The result store of a fleet, in one DynamoDB table."""
