"""Whether Flower hears the workers: how old SQS's last answer to its receiving of events is, and what went wrong."""

import time
from dataclasses import asdict, dataclass
from typing import Any

from celery import Celery

from celery_inference.sqs.broadcast.receive_queue import WAIT_SECONDS
from celery_inference.sqs.transport.connection import Transport
from monitor import words

# A receive without events takes a whole wait; a slow answer after it is no news.
STALE_AFTER_SECONDS = WAIT_SECONDS + 15.0
_MAX_FAILURE_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Hearing:
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
        return (
            f"SQS cannot be read: what is shown is {words.span(self.age_seconds)} old, and workers may be shown as "
            "offline that are not."
        )

    def as_json(self) -> dict[str, Any]:
        """The answer of `/api/events/freshness`."""
        return {**asdict(self), "stale": self.stale, "said": self.said}


def hearing_of(app: Celery) -> Hearing | None:
    """How Flower hears the workers now; None where the broadcast is off. Never blocks."""
    transport = app.connection_for_read().transport
    member = transport.member if isinstance(transport, Transport) else None
    if member is None:
        return None
    mailbox = member.hearing
    if mailbox is None or not mailbox.answered_at:
        return Hearing(None, "" if mailbox is None else mailbox.failure[:_MAX_FAILURE_CHARACTERS])
    age_seconds = round(max(0.0, time.monotonic() - mailbox.answered_at), 1)
    return Hearing(age_seconds, mailbox.failure[:_MAX_FAILURE_CHARACTERS])
