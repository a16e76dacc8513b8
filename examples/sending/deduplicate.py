"""Send the same work twice under one key: the second call finds the first request."""

from celery_inference import feature_extraction

text = "My parcel never arrived."
first = feature_extraction.apply_async((text,), dedup_key="review 17")
second = feature_extraction.apply_async((text,), dedup_key="review 17")

print("one request:", first.id == second.id)
print("one answer:", first.get(timeout=60) == second.get(timeout=60))
