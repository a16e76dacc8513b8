"""Models on SageMaker endpoints: what sends a worker's batches there, and a container that serves our specs there."""
