"""Receipt handles: opaque to callers, and to us queue, message and delivery, so that they outlive a restart."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple

from sqs.local.errors import bad_handle


class Handle(NamedTuple):
    queue: str
    message_id: str
    delivery: int


def encode(queue: str, message_id: str, delivery: int) -> str:
    return urlsafe_b64encode(f"{queue}/{message_id}/{delivery}".encode()).decode()


def decode(handle: str, queue: str) -> Handle:
    """Raises SqsError unless it is a handle of `queue`."""
    try:
        name, message_id, delivery = urlsafe_b64decode(handle).decode("ascii").split("/")
        decoded = Handle(name, message_id, int(delivery))
    except ValueError:
        raise bad_handle(handle) from None
    if name != queue:
        raise bad_handle(handle)
    return decoded
