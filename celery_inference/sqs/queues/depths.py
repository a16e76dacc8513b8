"""How full the lanes are, by SQS's own approximate counts; asks, never receives."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from celery_inference.sqs.api.clients import SqsClients
from celery_inference.sqs.errors import MISSING_CODES, QueueMissingError
from celery_inference.sqs.lanes import DeclaredQueue, Lane

if TYPE_CHECKING:
    from types_boto3_sqs.client import SQSClient

_NAMES = {
    "visible": "ApproximateNumberOfMessages",
    "in_flight": "ApproximateNumberOfMessagesNotVisible",
    "delayed": "ApproximateNumberOfMessagesDelayed",
}


@dataclass(frozen=True, slots=True)
class Depth:
    """Messages of one queue. A queue that does not exist has zeros and `missing` set."""

    queue: str
    visible: int
    in_flight: int
    delayed: int
    dead_letter_queue: bool
    lane: str
    missing: bool = False

    @property
    def total(self) -> int:
        """All messages of the queue, whatever their state."""
        return self.visible + self.in_flight + self.delayed


def read_depths(client: "SQSClient", lanes: Iterable[Lane], url_of: Callable[[str], str] | None = None) -> list[Depth]:
    """The depths of each lane's queue and DLQ, in that order. Blocks; two calls a queue, one where `url_of` knows it.

    Raises botocore's errors and those of `url_of`, except for a missing queue, which is reported as such.
    """
    url_of = url_of or (lambda name: client.get_queue_url(QueueName=name)["QueueUrl"])
    depths = []
    for lane in lanes:
        depths.append(_depth(client, lane, lane.queue, url_of))
        depths.append(_depth(client, lane, lane.dead_letter_queue, url_of))
    return depths


def _depth(client: "SQSClient", lane: Lane, queue: DeclaredQueue, url_of: Callable[[str], str]) -> Depth:
    is_dead_letter_queue = queue is lane.dead_letter_queue
    try:
        url = url_of(queue.name)
        names: Any = list(_NAMES.values())
        answer: Any = client.get_queue_attributes(QueueUrl=url, AttributeNames=names)
    except (ClientError, QueueMissingError) as exc:
        if isinstance(exc, ClientError) and exc.response.get("Error", {}).get("Code") not in MISSING_CODES:
            raise
        return Depth(queue.name, 0, 0, 0, is_dead_letter_queue, lane.name, missing=True)
    counts = {field: int(answer["Attributes"].get(name, 0)) for field, name in _NAMES.items()}
    return Depth(
        queue.name,
        counts["visible"],
        counts["in_flight"],
        counts["delayed"],
        dead_letter_queue=is_dead_letter_queue,
        lane=lane.name,
    )


def dead_letter_depth(clients: SqsClients, lane: Lane) -> Depth:
    """How many dead letters a lane has; receives nothing. Blocks for a call; raises errors of
    `celery_inference.sqs.errors`."""
    queue = lane.dead_letter_queue
    ask = partial(_depth, clients.client, lane, queue, clients.queue_url)
    depth: Depth = clients.call("GetQueueAttributes", queue.name, ask)
    if depth.missing:
        raise QueueMissingError("GetQueueAttributes", queue.name)
    return depth
