"""Bound the wait, and bound the request: `timeout` ends the wait alone, `expires` ends the request."""

from celery_inference import feature_extraction
from celery_inference.errors import RequestExpired, ResultTimeout

patient = feature_extraction.apply_async(("My parcel never arrived.",), countdown=1)
try:
    patient.get(timeout=0.1)
except ResultTimeout as error:
    print("no answer yet:", error)
print("the request went on:", len(patient.get(timeout=60)))

# Not before 1 s from now, and useless after 0.5 s: no worker runs it.
useless = feature_extraction.apply_async(("My parcel never arrived.",), countdown=1, expires=0.5)
try:
    useless.get(timeout=60)
except RequestExpired as error:
    print(useless.state, error)
