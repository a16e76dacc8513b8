"""From a receive queue's thread to the thread that drains a kombu connection."""

import logging
import queue
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from kombu.message import Message

logger = logging.getLogger(__name__)


class Source(Protocol):
    """What puts messages into a connection's queue of those that are ready."""

    def hand_over(self, message: Any, callback: Callable[[Any], Any] | None) -> bool:
        """Give a message to its consumer; False if there was nothing to give. In the draining thread."""


Ready = queue.SimpleQueue["tuple[Source, Any] | None"]


class ConsumerAddress(NamedTuple):
    """The kombu queue for whose consumer a message is."""

    queue: str


class BroadcastMessage(Message):
    """A command, an answer or a group of events. Acknowledging does nothing: SQS forgets it by itself."""

    def __init__(self, content: dict[str, Any], queue: str, channel: Any) -> None:
        properties = content["properties"]
        super().__init__(
            body=content["body"],
            delivery_tag="",
            content_type=content.get("content-type"),
            content_encoding=content.get("content-encoding"),
            delivery_info=properties["delivery_info"],
            properties=properties,
            headers=content["headers"],
            channel=channel,
        )
        self.delivery = ConsumerAddress(queue)


class _End(NamedTuple):
    """Nothing more will come; the delivery names the consumer that this is for."""

    delivery: ConsumerAddress


class Inbox:
    """The messages for one consumer. `put` and `end` may be called in any thread."""

    def __init__(self, queue: str, channel: Any, ready: Ready) -> None:
        self.queue = queue
        self._channel = channel
        self._ready = ready
        self._open = True

    def put(self, content: dict[str, Any]) -> None:
        """A decoded envelope for the consumer."""
        self._ready.put((self, BroadcastMessage(content, self.queue, self._channel)))

    def end(self) -> None:
        """Let the consumer's wait end as if its time were over: all that it waits for has come."""
        self._ready.put((self, _End(ConsumerAddress(self.queue))))

    def close(self) -> None:
        """Hand over nothing more."""
        self._open = False

    def hand_over(self, message: Any, callback: Callable[[Any], Any] | None) -> bool:
        """Give a message to its consumer; raises TimeoutError at the end, and what ends a process or its output."""
        if not self._open:
            return False
        if isinstance(message, _End):
            raise TimeoutError
        if callback is None:
            return False
        try:
            callback(message)
        except OSError:
            raise
        except Exception:
            logger.exception("a message of the broadcast could not be handled and is dropped")
        return True
