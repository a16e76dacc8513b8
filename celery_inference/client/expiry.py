"""Retention: SQS drops a message unseen when it is too old, and a request must end before that.

A request without a deadline gets one an hour before, or at half of the retention on lanes that keep messages for less
than two hours; whoever waits for it is then told that it has expired. Warnings begin at half the retention.
"""

import threading
import time
from datetime import UTC, datetime

from celery.utils.log import get_logger
from celery.utils.time import maybe_make_aware

from celery_inference.sqs.lanes import Lane

logger = get_logger(__name__)

SPARE_SECONDS = 3_600.0
SAY_SECONDS = 60.0

_lock = threading.Lock()
_said_at: dict[str, float] = {}
_sent_at: dict[str, float] = {}  # by lane, of the request that was received last


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


def warning_of(lane: Lane, sent_at: float, now: float | None = None) -> str | None:
    """What to say of a lane whose oldest request seen was sent then; None while that is no reason to worry."""
    now = time.time() if now is None else now
    age = now - sent_at
    if sent_at <= 0 or age < lane.queue.retention_seconds / 2:
        return None
    return f"requests on lane {lane.name} are {age / 3_600:.1f} h old; {losing(lane, sent_at)}"


def losing(lane: Lane, oldest_sent_at: float) -> str:
    """When a lane that nobody receives from loses messages, the oldest of which was sent then."""
    begins = datetime.fromtimestamp(oldest_sent_at + lane.queue.retention_seconds, UTC)
    expires = datetime.fromtimestamp(oldest_sent_at + deadline_seconds(lane), UTC)
    return f"they expire from {expires:%Y-%m-%d %H:%M} UTC on, and SQS drops them from {begins:%Y-%m-%d %H:%M} UTC on"


def oldest_waiting(lane: Lane, now: float) -> float:
    """When the oldest of the lane's messages was sent, as far as this process can know: about when that one was that it
    received last, else now."""
    return min(now, _sent_at.get(lane.name, now))


def warn_of(lane: Lane, sent_at: float) -> None:
    """Warn of a lane by the age of one of its requests, at most once a minute; and remember it."""
    if sent_at > 0:
        _sent_at[lane.name] = sent_at
    warning = warning_of(lane, sent_at)
    if warning is None:
        return
    with _lock:
        if time.monotonic() - _said_at.get(lane.name, -SAY_SECONDS) < SAY_SECONDS:
            return
        _said_at[lane.name] = time.monotonic()
    logger.warning("%s", warning)
