"""The handler: an event in, the messages that failed out."""

import os
from typing import Any

from celery.utils.log import get_logger

from deploy.aws_lambda.event import deliveries_of
from tasks.worker.event_source import EventWorker, WorkerLost

logger = get_logger(__name__)

RETURN_SECONDS = 1.0  # of the function's time, for the answer to leave


class LambdaHandler:
    """Called by Lambda's runtime, one event at a time, in the process's main thread."""

    def __init__(self, worker: EventWorker, lease_seconds: float) -> None:
        self._worker = worker
        self._lease_seconds = lease_seconds

    def __call__(self, event: Any, context: Any) -> dict[str, list[dict[str, str]]]:
        """Work on the event's messages; which of them Lambda must not delete.

        docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html, "ReportBatchItemFailures": what is named
        becomes visible when its visibility timeout ends, which was changed to the delay that its error policy asks for.

        Raises EventError for an event of something else, and errors of `celery_inference.sqs.errors` when SQS cannot
        be asked.
        """
        seconds = context.get_remaining_time_in_millis() / 1000 - RETURN_SECONDS
        deliveries = deliveries_of(event, lease_seconds=self._lease_seconds, url_of=self._worker.queue_url)
        try:
            self._worker.work(deliveries, max(0.0, seconds))
        except WorkerLost as error:
            logger.critical("%s: this environment ends", error)
            os._exit(1)  # Lambda makes a new one, and its poller leaves all messages of the event on the queue
        return {"batchItemFailures": [{"itemIdentifier": one.message_id} for one in deliveries if not one.done]}
