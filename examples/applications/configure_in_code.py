"""Say in code where queue and results are, instead of in the environment."""

import os
import tempfile

from celery_inference import app, configure, feature_extraction

# What the application has in its own settings. Call `configure` before the first request.
configure(
    broker=os.environ.get("SHOP_QUEUE", "sqs://local:local@127.0.0.1:9324//"),
    results=os.environ.get("SHOP_RESULTS"),  # None: as the environment says, or the default
    state=os.environ.get("SHOP_STATE", os.path.join(tempfile.gettempdir(), "shop")),
)

print("queue:", app.conf.broker_url)
print(len(feature_extraction.delay("My parcel never arrived.").get(timeout=60)), "numbers")
