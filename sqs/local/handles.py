"""Receipt handles: opaque to callers, and to us queue, message and delivery, so that they outlive a restart."""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from typing import NamedTuple

from sqs.local.errors import bad_handle


class Handle(NamedTuple):
    queue: str
    message_id: str
    delivery: int


def encode(queue: str, message_id: str, delivery: int) -> str:
    return b2a_base64(f"{queue}/{message_id}/{delivery}".encode(), newline=False).decode()


def decode(handle: str, queue: str) -> Handle:
    """Raises SqsError unless it is a handle of `queue`."""
    try:
        name, message_id, delivery = a2b_base64(handle).decode("ascii").split("/")
        decoded = Handle(name, message_id, int(delivery))
    except ValueError:
        raise bad_handle(handle) from None
    if name != queue:
        raise bad_handle(handle)
    return decoded
