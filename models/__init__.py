"""Models: specs, the catalogue, devices, loading, batching and the engine. Knows no queue."""
