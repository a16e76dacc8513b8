"""Ask what made a result: the model, its revision, and the versions of the libraries."""

from celery_inference import feature_extraction, provenance

result = feature_extraction.delay("My parcel never arrived.")
result.get(timeout=60)

facts = provenance(result) or {}
print("model", facts["model"], "as", facts["dtype"])
for library, version in facts["versions"].items():
    print(library, version)
