"""How long to wait before trying again: exponential, capped, with full jitter.

Full jitter (a uniform draw from zero to the bound) spreads a crowd best:
aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter
"""

import random
from typing import TYPE_CHECKING

from sqs import deliveries, limits

if TYPE_CHECKING:
    from kombu.message import Message

RELEASE_BASE_SECONDS = 1.0
RELEASE_CAP_SECONDS = 300.0


def full_jitter(tries: int, *, base_seconds: float, cap_seconds: float) -> float:
    """Seconds to wait after the `tries`-th failure (from 1)."""
    bound = min(cap_seconds, base_seconds * 2.0 ** min(tries - 1, 32))
    return random.uniform(0.0, bound)  # noqa: S311 - spreads load, guards nothing


def release_delay(delivery_count: int, cap_seconds: float = RELEASE_CAP_SECONDS) -> int:
    """Whole seconds for which a released message stays invisible, by the number of its deliveries."""
    return round(full_jitter(delivery_count, base_seconds=RELEASE_BASE_SECONDS, cap_seconds=cap_seconds))


def release_after(message: "Message | str", seconds: float) -> None:
    """Say when a message that is about to be rejected with requeue shall be visible again.

    Takes the kombu message or its delivery tag. Without this call `release_delay` decides. Does nothing
    for a delivery that is no longer held.
    """
    delivery = deliveries.find(message)
    if delivery is not None:
        delivery.release_after_seconds = min(max(0, round(seconds)), limits.MAX_VISIBILITY_SECONDS)
