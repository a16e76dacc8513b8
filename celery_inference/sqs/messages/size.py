"""How large a message is, and how large it may be."""

from typing import Any

from celery_inference.sqs import limits
from celery_inference.sqs.lanes import Lane
from celery_inference.sqs.messages.reason import REASON_ROOM_BYTES


def message_bytes(body: str, attributes: dict[str, Any]) -> int:
    """A message's size as SQS counts it: body, and each attribute's name, type and value."""
    size = len(body.encode("utf-8"))
    for name, attribute in attributes.items():
        size += len(name.encode("utf-8")) + len(attribute.get("DataType", "").encode("utf-8"))
        size += len(attribute.get("StringValue", "").encode("utf-8")) + len(attribute.get("BinaryValue", b""))
    return size


def inline_limit_bytes(queue: str, lane: Lane | None) -> int:
    """The largest message that is sent to a queue of this lane, or of none: what the queue takes, and so much less than
    the dead-letter queue takes that a reason fits beside it.
    """
    if lane is None:
        return limits.MAX_MESSAGE_BYTES - REASON_ROOM_BYTES
    if not lane.takes(queue):
        return lane.dead_letter_queue.max_message_bytes
    room = max(limits.MIN_MESSAGE_SIZE_SETTING_BYTES, lane.dead_letter_queue.max_message_bytes - REASON_ROOM_BYTES)
    return min(lane.queue.max_message_bytes, room)
