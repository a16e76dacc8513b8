"""Parts of a group or of a chord's header are sent together: when all of them are checked, ten a call.

Celery sends a group part by part, each through a producer that it asks its application for beforehand. What is sent
through that producer waits in a batch of kombu until the last part is there. When a part is refused, none was sent.
"""

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
        self._batch: Any = None
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
        try:
            if self._batch is not None:
                self._batch.__exit__(kind, error, traceback)
        finally:
            self._acquired.__exit__(kind, error, traceback)

    def hold_back(self, producer: Any) -> None:
        """From now on, what is sent through this producer waits for the end of the context, or for PARTS_TOGETHER."""
        if self._batch is None and producer is self._producer:
            self._batch = producer.batch(max_size=PARTS_TOGETHER)
            self._batch.__enter__()


def hold_back_part(producer: Any) -> None:
    """Let what is sent through a group's producer wait until all parts of the group are there."""
    shared = _open.get()
    if shared is not None:
        shared.hold_back(producer)
