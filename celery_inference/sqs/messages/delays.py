"""Countdowns and etas as SQS's own delays."""

import math
from datetime import UTC, datetime
from typing import Any

from celery_inference.sqs import limits

_FIRST_YEAR, _LAST_YEAR = 1971, 9998
# Below it the worker's own timer waits; above, the message goes back to SQS for the rest.
HOLD_SECONDS = 1.0
LONGEST_SECONDS = 366 * 86_400  # an eta further away is taken for a mistake


def seconds_left(headers: dict[str, Any], now: datetime | None = None) -> float:
    """Seconds until a task's eta, or its deadline if that comes first; 0 without an eta, or with one that is past or
    cannot be read.
    """
    eta, expires = instant(headers.get("eta")), instant(headers.get("expires"))
    if eta is None:
        return 0.0
    until = eta if expires is None else min(eta, expires)
    return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())


def instant(text: object) -> datetime | None:
    """The time that a header names; None for what is none, and for the ends of the calendar, which no zone has."""
    try:
        when = datetime.fromisoformat(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    if not _FIRST_YEAR <= when.year <= _LAST_YEAR:
        return None
    return when if when.tzinfo is not None else when.replace(tzinfo=UTC)  # Celery writes naive times for UTC only


def delay_seconds(left: float) -> int:
    """The DelaySeconds for a wait, so that it is over on arrival; SQS's longest where it is longer."""
    return min(limits.MAX_DELAY_SECONDS, math.ceil(left))


def asked_delay(headers: dict[str, Any], properties: dict[str, Any]) -> int:
    """The DelaySeconds of a message that is sent: `delay_seconds` of `apply_async`, else from the eta."""
    for name in ("delay_seconds", "DelaySeconds"):
        asked = properties.pop(name, None)
        if asked is not None:
            return delay_seconds(max(0.0, float(asked)))
    return delay_seconds(seconds_left(headers))
