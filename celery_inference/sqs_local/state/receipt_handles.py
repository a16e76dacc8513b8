"""Receipt handles: opaque to callers, and to us message, delivery and queue, so that they outlive a restart."""

from __future__ import annotations

from celery_inference.sqs_local.http.errors import bad_handle


def encode(queue: str, message_id: str, delivery: int) -> str:
    return f"{message_id}/{delivery}/{queue}"


def decode(handle: str, queue: str) -> tuple[str, int]:
    """Message id and delivery. Raises SqsError unless it is a handle of `queue`."""
    try:
        message_id, delivery, name = handle.split("/")
        if name == queue:
            return message_id, int(delivery)
    except ValueError:
        pass
    raise bad_handle(handle)
