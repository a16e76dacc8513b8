"""Names and URLs of queues."""

import string

from celery_inference.sqs.api.clients import Account
from celery_inference.sqs.errors import QueueMissingError
from celery_inference.sqs.lanes import lane_of
from celery_inference.sqs.options import Options
from celery_inference.sqs.queues import provisioning

# As stock kombu names queues, so that both find the same ones: dots become dashes, other signs underscores.
_NAME_TABLE = {ord(sign): "_" for sign in string.punctuation if sign not in "-_."} | {ord("."): "-"}


def sqs_name(queue: str) -> str:
    """The SQS queue that holds a kombu queue."""
    stem, fifo = (queue[: -len(".fifo")], ".fifo") if queue.endswith(".fifo") else (queue, "")
    return stem.translate(_NAME_TABLE) + fifo


def queue_url(account: Account, options: Options, queue: str) -> str:
    """A queue's URL; makes a declared lane that is missing if the options allow it. Blocks at first use."""
    name = sqs_name(queue)
    try:
        return account.queue_url(name)
    except QueueMissingError:
        lane = lane_of(queue, options.lanes)
        if lane is None or not options.create_missing_lanes:
            raise
        account.call("CreateQueue", name, provisioning.create, client=account.client, lane=lane)
        return account.queue_url(name)
