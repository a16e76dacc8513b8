"""Whether this host is to blame: one that fails far more attempts than its peers receives nothing more.

Otherwise a GPU that answers every batch with an error at once, and so is always free, uses up everyone's attempts.
"""

import threading
import time
from collections.abc import Mapping

from celery_inference.results.protocol import HostCounts, StoreUnavailable
from celery_inference.results.store.store import ResultStore
from celery_inference.sqs.consumer.pause import Pauses
from models.supervision.outlier_detection import far_worse

WINDOW_SECONDS = 600.0
LEAST_ATTEMPTS = 20  # here, and of all peers together, before a share of them says anything
LOOK_SECONDS = 1.0
NAME = "host"


def blame(figures: Mapping[str, HostCounts], host: str) -> str | None:
    """Why this host should receive nothing more; None when it is no worse than its peers, or has none."""
    own = figures.get(host, HostCounts())
    peers = [other for name, other in figures.items() if name != host]
    started, failed = sum(peer.started for peer in peers), sum(peer.failed for peer in peers)
    if not far_worse((own.failed, own.started), (failed, started), least=LEAST_ATTEMPTS):
        return None
    return (
        f"{own.failed} of {own.started} attempts failed on {host} in {WINDOW_SECONDS / 60:g} minutes, and only"
        f" {failed} of {started} elsewhere: this host is at fault, mend it and restart the worker"
    )


class HostOutliers:
    """Counts the failures of this process's attempts, and pauses it when they are too many. Thread-safe."""

    def __init__(self, pauses: Pauses) -> None:
        self._pauses = pauses
        self._lock = threading.Lock()
        self._failures = 0
        self._looked_at = -LOOK_SECONDS

    def failed(self, store: ResultStore, host: str) -> None:
        """An attempt has failed by no fault of its request. Asks the store, at most once a second."""
        with self._lock:
            self._failures += 1
            if time.monotonic() - self._looked_at < LOOK_SECONDS:
                return
            self._looked_at = time.monotonic()
            count, self._failures = self._failures, 0
        try:
            store.record_failures(host, count)
            why = blame(store.host_counts(time.time() - WINDOW_SECONDS), host)
        except StoreUnavailable:
            return  # it has its own pause
        if why is not None:
            self._pauses.hold(NAME, why)
