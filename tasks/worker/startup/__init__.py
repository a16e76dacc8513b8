"""What a worker looks at before it loads models: what no waiting mends ends it with one sentence."""
