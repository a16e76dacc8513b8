"""How many HTTP requests this process sent to SQS, by operation; what AWS bills and benchmarks report."""

import os
import threading
from collections import Counter
from typing import Any


class CallCounter:
    """Counts requests as they leave, retries included. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def after_fork(self) -> None:
        """In a child: start from zero, with a lock that no thread of the parent holds."""
        self._lock = threading.Lock()
        self._counts = Counter()

    def attach(self, client: Any) -> None:
        """Count what this boto3 SQS client sends from now on."""
        client.meta.events.register("before-send.sqs", self._count)

    def _count(self, event_name: str, **_: Any) -> None:
        operation = event_name.rpartition(".")[2]
        with self._lock:
            self._counts[operation] += 1

    def counts(self) -> dict[str, int]:
        """Requests so far, by operation."""
        with self._lock:
            return dict(self._counts)

    def total(self) -> int:
        """Requests so far."""
        with self._lock:
            return self._counts.total()

    def reset(self) -> None:
        """Start from zero."""
        with self._lock:
            self._counts.clear()


CALLS = CallCounter()
os.register_at_fork(after_in_child=CALLS.after_fork)
