"""Send one text and wait for its embedding."""

from celery_inference import feature_extraction

result = feature_extraction.delay("My parcel never arrived.")
print("request", result.id)

vector = result.get(timeout=60)
print(len(vector), "numbers, the first is", round(vector[0], 3))
