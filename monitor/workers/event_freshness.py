"""Whether Flower hears the workers: how old SQS's last answer to its receiving of events is, and what went wrong."""

import time
from dataclasses import asdict, dataclass
from typing import Any

from celery import Celery

from celery_inference.sqs.broadcast.receive_queue import WAIT_SECONDS
from celery_inference.sqs.transport.connection import Transport
from monitor import formatting

# A receive without events takes a whole wait; a slow answer after it is no news.
STALE_AFTER_SECONDS = WAIT_SECONDS + 15.0
_MAX_FAILURE_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class EventFreshness:
    """`age_seconds` is None before SQS's first answer; `failure` is empty while there is none."""

    age_seconds: float | None
    failure: str

    @property
    def stale(self) -> bool:
        """Whether pages made of events may no longer be true."""
        return bool(self.failure) or self.age_seconds is None or self.age_seconds > STALE_AFTER_SECONDS

    @property
    def said(self) -> str:
        """What a page says of it; empty while all is well."""
        if not self.stale:
            return ""
        if self.age_seconds is None:
            return "SQS has not answered yet: no workers and tasks are known."
        age = formatting.span(self.age_seconds)
        return f"SQS cannot be read: what is shown is {age} old, and workers may be shown as offline that are not."

    def as_json(self) -> dict[str, Any]:
        """The answer of `/api/events/freshness`."""
        return {**asdict(self), "stale": self.stale, "said": self.said}


def freshness_of(app: Celery) -> EventFreshness | None:
    """How Flower hears the workers now; None where the broadcast is off. Never blocks."""
    transport = app.connection_for_read().transport
    node = transport.node if isinstance(transport, Transport) else None
    if node is None:
        return None
    receive_queue = node.events_queue
    if receive_queue is None or not receive_queue.answered_at:
        return EventFreshness(None, "" if receive_queue is None else receive_queue.failure[:_MAX_FAILURE_CHARACTERS])
    age_seconds = round(max(0.0, time.monotonic() - receive_queue.answered_at), 1)
    return EventFreshness(age_seconds, receive_queue.failure[:_MAX_FAILURE_CHARACTERS])
