"""Send many requests, and one task of your own when all have ended.

The worker needs `applications/own_tasks.py`; its first lines say how.
"""

from celery import chord

from celery_inference import app, feature_extraction

TEXTS = ["My parcel never arrived.", "I would like my money back.", "Thank you, all is well."]

mean = chord((feature_extraction.s(text) for text in TEXTS), app.signature("own_tasks.mean"))
vector = mean.delay().get(timeout=60)
print("the mean of", len(TEXTS), "vectors has", len(vector), "numbers")
