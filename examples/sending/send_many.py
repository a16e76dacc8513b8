"""Send many texts: as one request with a list, and as a group of requests that workers may share."""

from celery import group

from celery_inference import feature_extraction

TEXTS = ["My parcel never arrived.", "I would like my money back.", "Thank you, all is well."]

# One message, one answer. The model's `max_inputs` limits the list.
vectors = feature_extraction.delay(TEXTS).get(timeout=60)
print("list:", len(vectors), "vectors")

# A message for each text. The answers have the order of the texts, whichever worker gave them.
requests = group(feature_extraction.s(text) for text in TEXTS).delay()
for text, vector in zip(TEXTS, requests.get(timeout=60), strict=True):
    print("group:", text, len(vector))
