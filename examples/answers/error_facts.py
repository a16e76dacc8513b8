"""See what is wrong with a request: `delay()` and `get()` raise the same errors, with the same facts."""

from celery_inference import app, feature_extraction, infer
from celery_inference.errors import InvalidInput, UnknownModel, UnknownOption

try:
    feature_extraction.delay(["fine", ""])
except InvalidInput as error:  # nothing was sent
    print(f"delay: {error} (field {error.field}, index {error.index})")

try:
    infer.delay("smollm2-135m-instruct", "Name one planet.", max_new_token=8)
except UnknownOption as error:
    print(f"delay: {error} (nearest {error.nearest}, allowed {', '.join(error.allowed or ())})")

try:
    infer.delay("all-minilm", "My parcel never arrived.")
except UnknownModel as error:
    print(f"delay: {error} (nearest {error.nearest})")

# A program that sends by name alone checks nothing. The worker checks everything.
result = app.send_task("celery_inference.feature_extraction", args=[["fine", "x" * 20_001]])
try:
    result.get(timeout=60)
except InvalidInput as error:
    print(f"get: {error} (field {error.field}, index {error.index}, limit {error.limit})")
