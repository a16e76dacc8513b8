"""Receipt handles: opaque to callers, and to us queue, message and delivery, so that they outlive a restart."""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64

from sqs.local.errors import bad_handle


def encode(queue: str, message_id: str, delivery: int) -> str:
    return b2a_base64(f"{queue}/{message_id}/{delivery}".encode(), newline=False).decode()


def decode(handle: str, queue: str) -> tuple[str, int]:
    """Message id and delivery. Raises SqsError unless it is a handle of `queue`."""
    try:
        name, message_id, delivery = a2b_base64(handle).decode("ascii").split("/")
        if name == queue:
            return message_id, int(delivery)
    except ValueError:
        pass
    raise bad_handle(handle)
