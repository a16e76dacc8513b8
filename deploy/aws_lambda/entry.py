"""What the function's image names as its handler: `deploy.aws_lambda.entry.handle`.

Importing it loads the models, once in an execution environment. Lambda allows ten seconds for that; what takes longer
is begun again with the first event, in the function's own time, unless concurrency is provisioned.
"""

import logging

from deploy.aws_lambda.handler import LambdaHandler
from tasks.celery import app
from tasks.worker.event_source import EventWorker

for name in ("celery", "models", "celery_inference"):  # the root logger is the runtime's, and shows warnings alone
    logging.getLogger(name).setLevel(logging.INFO)
worker = EventWorker(app, "lambda")
worker.start()
handle = LambdaHandler(worker, app.conf.broker_transport_options["lease_seconds"])
