"""How long to wait before trying again: exponential, capped, with full jitter.

Full jitter (a uniform draw from zero to the bound) spreads a crowd best:
aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter
"""

import random

RELEASE_BASE_SECONDS = 1.0
RELEASE_CAP_SECONDS = 300.0


def full_jitter(tries: int, *, base_seconds: float, cap_seconds: float) -> float:
    """Seconds to wait after the `tries`-th failure (from 1)."""
    bound = min(cap_seconds, base_seconds * 2.0 ** min(tries - 1, 32))
    return random.uniform(0.0, bound)  # noqa: S311 - spreads load, guards nothing


def release_delay(delivery_count: int, cap_seconds: float = RELEASE_CAP_SECONDS) -> int:
    """Whole seconds for which a released message stays invisible, by the number of its deliveries."""
    return round(full_jitter(delivery_count, base_seconds=RELEASE_BASE_SECONDS, cap_seconds=cap_seconds))
