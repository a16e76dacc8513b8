"""SQS's operations, one function each, over the state."""
