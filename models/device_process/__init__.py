"""The process that owns one device: it loads models and runs batches."""
