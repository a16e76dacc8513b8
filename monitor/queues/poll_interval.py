"""How often the depths are read: each few seconds while somebody looks and something moves, else more rarely.

A round costs one call a queue (celery_inference/sqs/queues/depths.py), 0.40 dollars a million
(https://aws.amazon.com/sqs/pricing/): for eight
queues 1.66 dollars a month at one each 5 s, 1.04 at 8 s, 0.41 at 20 s. `benchmarks/broadcast_calls.py` counts it.
"""

import math

INTERVAL_SECONDS = 5.0
CALM_SECONDS = 8.0  # while no figure changes
UNSEEN_SECONDS = 20.0  # while nobody looks; who then comes is not made to wait, see DepthWatch.look
MOVING_SECONDS = 60.0  # after the last change
SEEN_SECONDS = 30.0  # after the last look: pages look each 2 s, Prometheus each 15 or 30


class PollInterval:
    """When the next round is due. Times are of the caller's clock; not thread-safe."""

    def __init__(self) -> None:
        self.changed_at = -math.inf
        self.looked_at = -math.inf

    def interval_seconds(self, now: float) -> float:
        """Between this round and the next."""
        if now - self.looked_at > SEEN_SECONDS:
            return UNSEEN_SECONDS
        return INTERVAL_SECONDS if now - self.changed_at <= MOVING_SECONDS else CALM_SECONDS
