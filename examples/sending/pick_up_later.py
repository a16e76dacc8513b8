"""Keep a request's id, and ask for its result later: in another process, or after a restart."""

import time

from celery_inference import feature_extraction

request_id = feature_extraction.delay("My parcel never arrived.").id  # an application keeps it in its database

later = feature_extraction.AsyncResult(request_id)
while not later.ready():  # asks the result store, and does not wait
    time.sleep(0.1)
print(later.state, len(later.get()))
