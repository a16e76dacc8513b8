"""Choose the lane: a user waits for one request, and the other may take its time."""

from celery_inference import feature_extraction

bulk = feature_extraction.apply_async(("A text of last year's archive.",), queue="inference-bulk")
interactive = feature_extraction.apply_async(("What the user has just typed.",), queue="inference-interactive")

print("interactive:", len(interactive.get(timeout=60)))
print("bulk:", len(bulk.get(timeout=60)))
