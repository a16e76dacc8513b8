"""Let tasks of your own follow a request, on the workers: as the next step of a chain, or as a link.

The worker needs `applications/own_tasks.py`; its first lines say how.
"""

from celery import chain

from celery_inference import app, feature_extraction

length = app.signature("own_tasks.length")  # sent by its name; it gets the vector

steps = chain(feature_extraction.s("My parcel never arrived."), length).delay()
print("chain: a vector of length", round(steps.get(timeout=60), 3))
print("chain: the vector has", len(steps.parent.get(timeout=60)), "numbers")

# The caller waits for the request alone. The link follows when it succeeds, the error callback when it fails.
result = feature_extraction.apply_async(
    ("I would like my money back.",), link=length, link_error=app.signature("own_tasks.report")
)
print("link: the vector has", len(result.get(timeout=60)), "numbers")
for child in result.children or []:
    print("link: it has length", round(child.get(timeout=60), 3))
