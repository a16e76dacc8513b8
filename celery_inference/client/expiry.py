"""Retention: SQS drops a message unseen when it is too old, and a request must end before that.

A request without a deadline gets one an hour before, or at half of the retention on lanes that keep messages for less
than two hours; whoever waits for it is then told that it has expired.
"""

import time
from datetime import UTC, datetime

from celery.utils.time import maybe_make_aware

from celery_inference.sqs.lanes import Lane

SPARE_SECONDS = 3_600.0


def deadline_seconds(lane: Lane, own_seconds: float | None = None, due_in_seconds: float = 0.0) -> float:
    """How long after its sending a request of this lane may begin.

    `own_seconds` is the deadline of its model, counted from when it may begin at the earliest.
    """
    retention = lane.queue.retention_seconds
    lanes = max(retention - SPARE_SECONDS, retention / 2)
    return lanes if own_seconds is None else min(lanes, due_in_seconds + own_seconds)


def seconds_until_due(countdown: float | None, eta: datetime | str | None) -> float:
    """How long Celery will hold a request back.

    Raises:
        ValueError: `eta` is a text that is no time.
    """
    if countdown is not None:
        return max(0.0, countdown)
    due = instant(eta)
    return 0.0 if due is None else max(0.0, due - time.time())


def instant(when: datetime | str | None) -> float | None:
    """A deadline or an `eta`, as callers give it or messages carry it, in seconds since the epoch.

    Without a time zone it is UTC, as Celery takes it: the host's may be any.
    """
    if not when:
        return None
    aware: datetime = maybe_make_aware(datetime.fromisoformat(when) if isinstance(when, str) else when, UTC)
    return aware.timestamp()


def losing(lane: Lane, oldest_sent_at: float) -> str:
    """When a lane that nobody receives from loses messages, the oldest of which was sent then."""
    begins = datetime.fromtimestamp(oldest_sent_at + lane.queue.retention_seconds, UTC)
    expires = datetime.fromtimestamp(oldest_sent_at + deadline_seconds(lane), UTC)
    return f"they expire from {expires:%Y-%m-%d %H:%M} UTC on, and SQS drops them from {begins:%Y-%m-%d %H:%M} UTC on"
