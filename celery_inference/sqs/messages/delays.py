"""Countdowns and etas as SQS's own delays."""

import math
from datetime import UTC, datetime
from typing import Any

from celery_inference.sqs import limits

# Below it the worker's own timer waits; above, the message goes back to SQS for the rest.
HOLD_SECONDS = 1.0


def seconds_left(headers: dict[str, Any], now: datetime | None = None) -> float:
    """Seconds until a task's eta; 0 without one, or with one that is past or cannot be read."""
    eta = headers.get("eta")
    if not isinstance(eta, str):
        return 0.0
    try:
        when = datetime.fromisoformat(eta)
    except ValueError:
        return 0.0
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)  # Celery writes naive times for UTC only
    return max(0.0, (when - (now or datetime.now(UTC))).total_seconds())


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
