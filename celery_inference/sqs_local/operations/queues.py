"""The operations on queues, by their names in the protocol. Operations on messages are in `message_operations`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from celery_inference.sqs_local import limits
from celery_inference.sqs_local.http import validation
from celery_inference.sqs_local.http.errors import ApiError, invalid, invalid_value, unknown_attribute
from celery_inference.sqs_local.http.server import Request
from celery_inference.sqs_local.http.validation import Params
from celery_inference.sqs_local.state.move_tasks import MoveTasks
from celery_inference.sqs_local.state.queue import LocalQueue
from celery_inference.sqs_local.state.queue_attributes import COUNTS, SETTABLE
from celery_inference.sqs_local.state.store import QueueStore

Answer = dict[str, Any]
PURGE_PAUSE_MS: Final = 60_000  # API_PurgeQueue: one purge in 60 seconds
MAX_LISTED: Final = 1_000  # API_ListQueues
_ALL_ATTRIBUTES: Final = frozenset((*SETTABLE, *COUNTS, "CreatedTimestamp", "LastModifiedTimestamp", "QueueArn", "All"))


@dataclass(slots=True)
class Call:
    """One request, and the time at which it takes effect."""

    store: QueueStore
    moves: MoveTasks
    params: Params
    now_ms: int
    request: Request
    new_id: Callable[[], str]

    def queue(self) -> LocalQueue:
        return self.store.queue(validation.queue_of_url(self.params), self.now_ms)

    def url(self, name: str) -> str:
        """As who sent the request reaches us."""
        host = self.request.headers.get("host") or "127.0.0.1"
        return f"http://{host}/{self.store.account}/{name}"


def create_queue(call: Call) -> Answer:
    attributes = validation.text_map(call.params, "Attributes")
    fifo = attributes.get("FifoQueue", "").lower() == "true"
    name = validation.queue_name(call.params, fifo=fifo)
    tags = _checked_tags(validation.text_map(call.params, "tags", "Tags"))
    call.store.create_queue(name, attributes, tags, fifo=fifo, now_ms=call.now_ms)
    return {"QueueUrl": call.url(name)}


def delete_queue(call: Call) -> Answer:
    call.store.delete_queue(validation.queue_of_url(call.params))
    return {}


def get_queue_url(call: Call) -> Answer:
    return {"QueueUrl": call.url(call.store.queue(validation.queue_name(call.params), call.now_ms).name)}


def list_queues(call: Call) -> Answer:
    prefix = validation.optional_text(call.params, "QueueNamePrefix") or ""
    names = sorted(name for name in call.store.queues if name.startswith(prefix))
    return _page(call, "QueueUrls", [call.url(name) for name in names])


def list_dead_letter_source_queues(call: Call) -> Answer:
    names = sorted(call.store.sources_of(call.queue().name))
    # The lower-case key is SQS's own, as is the list where there are none.
    return {"queueUrls": [], **_page(call, "queueUrls", [call.url(name) for name in names])}


def _page(call: Call, key: str, urls: list[str]) -> Answer:
    most = validation.whole(call.params, "MaxResults", 1, MAX_LISTED)
    token = validation.optional_text(call.params, "NextToken")
    if token:
        if most is None:
            raise invalid("MaxResults is a mandatory parameter when you provide a value for NextToken.")
        urls = [url for url in urls if url.rpartition("/")[2] > token]
    page = urls[: most or MAX_LISTED]
    answer: Answer = {key: page} if page else {}
    if most is not None and len(urls) > most:
        answer["NextToken"] = page[-1].rpartition("/")[2]
    return answer


def get_queue_attributes(call: Call) -> Answer:
    wanted = validation.texts(call.params, "AttributeNames")
    for name in wanted:
        if name not in _ALL_ATTRIBUTES:
            raise unknown_attribute(name)
    queue = call.queue()
    shown = {
        **queue.settings.shown,
        "ApproximateNumberOfMessages": str(queue.ready),
        "ApproximateNumberOfMessagesNotVisible": str(queue.in_flight),
        "ApproximateNumberOfMessagesDelayed": str(queue.delayed),
        "CreatedTimestamp": str(queue.created_ms // 1000),
        "LastModifiedTimestamp": str(queue.modified_ms // 1000),
        "QueueArn": call.store.arn(queue.name),
    }
    if "All" not in wanted:
        shown = {name: shown[name] for name in wanted if name in shown}
    return {"Attributes": shown} if shown else {}


def set_queue_attributes(call: Call) -> Answer:
    attributes = validation.text_map(call.params, "Attributes")
    call.store.set_attributes(call.queue(), attributes, call.now_ms)
    return {}


def list_queue_tags(call: Call) -> Answer:
    tags = call.queue().tags
    return {"Tags": tags} if tags else {}


def tag_queue(call: Call) -> Answer:
    queue = call.queue()
    call.store.set_tags(queue, _checked_tags({**queue.tags, **validation.text_map(call.params, "Tags")}))
    return {}


def untag_queue(call: Call) -> Answer:
    queue = call.queue()
    keys = validation.texts(call.params, "TagKeys")
    call.store.set_tags(queue, {key: value for key, value in queue.tags.items() if key not in keys})
    return {}


def _checked_tags(tags: dict[str, str]) -> dict[str, str]:
    if len(tags) > limits.MAX_QUEUE_TAGS:
        raise invalid(f"Too many tags added for queue: at most {limits.MAX_QUEUE_TAGS}.")
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or len(value) > 256 or key.lower().startswith("aws:"):
            raise invalid_value(key, "Tags", "Keys have 1 to 128 characters and no aws: prefix, values up to 256.")
    return tags


def purge_queue(call: Call) -> Answer:
    queue = call.queue()
    if queue.purged_ms and call.now_ms - queue.purged_ms < PURGE_PAUSE_MS:
        raise ApiError(
            "PurgeQueueInProgress",
            f"Only one PurgeQueue operation on {queue.name} is allowed every 60 seconds.",
            query_code="AWS.SimpleQueueService.PurgeQueueInProgress",
            status=403,
        )
    call.store.purge(queue, call.now_ms)
    return {}


QUEUE_OPERATIONS: Final[Mapping[str, Callable[[Call], Answer]]] = {
    "CreateQueue": create_queue,
    "DeleteQueue": delete_queue,
    "GetQueueUrl": get_queue_url,
    "ListQueues": list_queues,
    "ListDeadLetterSourceQueues": list_dead_letter_source_queues,
    "GetQueueAttributes": get_queue_attributes,
    "SetQueueAttributes": set_queue_attributes,
    "ListQueueTags": list_queue_tags,
    "TagQueue": tag_queue,
    "UntagQueue": untag_queue,
    "PurgeQueue": purge_queue,
}
