"""Names and URLs of queues."""

import string

from celery_inference.sqs.api.clients import SqsClients
from celery_inference.sqs.errors import QueueMissingError
from celery_inference.sqs.lanes import lane_of
from celery_inference.sqs.options import TransportOptions
from celery_inference.sqs.queues import provisioning

# As stock kombu names queues, so that both find the same ones: dots become dashes, other signs underscores.
_NAME_TABLE = {ord(sign): "_" for sign in string.punctuation if sign not in "-_."} | {ord("."): "-"}


def sqs_name(queue: str) -> str:
    """The SQS queue that holds a kombu queue."""
    stem, fifo = (queue[: -len(".fifo")], ".fifo") if queue.endswith(".fifo") else (queue, "")
    return stem.translate(_NAME_TABLE) + fifo


def queue_name(options: TransportOptions, queue: str) -> str:
    """What SQS calls a queue of Celery's, the deployment's prefix included."""
    lane = lane_of(queue, options.lanes)
    if lane is None:
        return sqs_name(f"{options.queue_prefix}{queue}")
    return sqs_name(lane.queue.name if lane.takes(queue) else lane.dead_letter_queue.name)


def queue_url(clients: SqsClients, options: TransportOptions, queue: str) -> str:
    """A queue's URL; makes a declared lane that is missing if the options allow it. Blocks at first use."""
    name = queue_name(options, queue)
    try:
        return clients.queue_url(name)
    except QueueMissingError:
        lane = lane_of(queue, options.lanes)
        if lane is None or not options.create_missing_lanes:
            raise
        clients.call("CreateQueue", name, provisioning.create, client=clients.client, lane=lane)
        return clients.queue_url(name)
