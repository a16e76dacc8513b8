"""Cancel a request that has not begun."""

from celery_inference import feature_extraction
from celery_inference.errors import RequestCancelled

result = feature_extraction.apply_async(("The customer has called meanwhile.",), countdown=1)
result.revoke()
try:
    result.get(timeout=60)
except RequestCancelled as error:
    print(result.state, error)
