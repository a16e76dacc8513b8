"""Who looks at messages between their receive and their consumer.

The transport receives up to ten messages at once, the consumer sees them one by one: what is to be asked once for
all of them is asked here.
"""

import logging
from collections.abc import Callable, Sequence

from celery_inference.sqs.consumer.message import Message

logger = logging.getLogger(__name__)

Look = Callable[[Sequence[Message]], None]
ON_RECEIVED: list[Look] = []


def publish_received(messages: Sequence[Message]) -> None:
    """Let all look, in the receiver's thread, before any of the messages is handed over. Never raises."""
    if not messages:
        return
    for look in ON_RECEIVED:
        try:
            look(messages)
        except Exception:
            logger.exception("%d messages could not be looked at before they are handed over", len(messages))
