"""How old the requests are that a worker receives: it warns of a lane before SQS drops what waits there."""

import threading
import time

from celery.utils.log import get_logger

from celery_inference.client.expiry import losing
from celery_inference.sqs.lanes import Lane

logger = get_logger(__name__)

SAY_SECONDS = 60.0


class RequestAges:
    """Of all lanes of this worker. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._said_at: dict[str, float] = {}
        self._sent_at: dict[str, float] = {}  # by lane, of the request that was received last

    def record_receipt(self, lane: Lane, sent_at: float) -> None:
        """A request was received that was sent then; warns of its lane, at most once a minute."""
        if sent_at > 0:
            self._sent_at[lane.name] = sent_at
        warning = warning_of(lane, sent_at)
        if warning is None:
            return
        with self._lock:
            if time.monotonic() - self._said_at.get(lane.name, -SAY_SECONDS) < SAY_SECONDS:
                return
            self._said_at[lane.name] = time.monotonic()
        logger.warning("%s", warning)

    def oldest_waiting(self, lane: Lane, now: float) -> float:
        """When the oldest of the lane's messages was sent, as far as this worker can know: about when that one was that
        it received last, else now."""
        return min(now, self._sent_at.get(lane.name, now))


def warning_of(lane: Lane, sent_at: float, now: float | None = None) -> str | None:
    """What to say of a lane whose oldest request seen was sent then; None while that is no reason to worry."""
    now = time.time() if now is None else now
    age = now - sent_at
    if sent_at <= 0 or age < lane.queue.retention_seconds / 2:
        return None
    return f"requests on lane {lane.name} are {age / 3_600:.1f} h old; {losing(lane, sent_at)}"
