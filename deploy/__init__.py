"""The cloud side: the Pulumi program, images, units and manifests. Reads `sqs` for names and limits."""
