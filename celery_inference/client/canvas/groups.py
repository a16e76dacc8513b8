"""Parts of a group or of a chord's header are sent together: when all of them are checked, ten a call.

Celery sends a group part by part, each through a producer that it asks its application for beforehand. What is sent
through that producer waits in a batch of kombu until the last part is there. When a part is refused, none was sent.
"""

from contextlib import ExitStack
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any

# A group of more parts is sent in slices, each checked as a whole: the parts that wait are in memory.
PARTS_TOGETHER = 10_000

_open: ContextVar["SharedProducer | None"] = ContextVar("celery_inference.open_producer", default=None)


class SharedProducer:
    """The context that Celery's `producer_or_acquire` gives, which may send what belongs together. One thread's."""

    def __init__(self, acquired: Any) -> None:
        self._acquired = acquired
        self._producer: Any = None
        self._batch: ExitStack | None = None
        self._token: Token[SharedProducer | None] | None = None

    def __enter__(self) -> Any:
        self._producer = self._acquired.__enter__()
        self._token = _open.set(self)
        return self._producer

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is not None:
            _open.reset(self._token)
        with ExitStack() as stack:
            stack.push(lambda *_: self._acquired.__exit__(kind, error, traceback))
            if self._batch is not None:
                self._batch.__exit__(kind, error, traceback)

    def hold_back(self) -> None:
        """From now on, what is sent through the producer waits for the end of the context, or for PARTS_TOGETHER."""
        if self._batch is None:
            self._batch = ExitStack()
            self._batch.enter_context(self._producer.batch(max_size=PARTS_TOGETHER))


def hold_back_part(options: dict[str, Any]) -> None:
    """Let the message of these options wait for those of its group, where it is a part of one.

    Celery sends a part through the group's producer, and adds the group to the running task, not its parts.
    """
    shared = _open.get()
    if shared is not None and options.get("producer") is shared._producer and options.get("add_to_parent") is False:
        shared.hold_back()
