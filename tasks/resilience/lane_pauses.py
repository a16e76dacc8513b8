"""Lanes that this worker does not consume, each for one reason or several: it goes on when the last one is over."""

import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any


class LanePauses:
    """Those of Celery's consumer. May be called from any thread: the consumer's own does what is to be done."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._lock = threading.Lock()
        self._reasons: defaultdict[str, set[str]] = defaultdict(set)  # by lane

    def pause(self, lane: str, reason: str) -> None:
        """Stop a lane for this reason: what waits here is released, what runs is finished."""
        with self._lock:
            first = not self._reasons[lane]
            self._reasons[lane].add(reason)
            if first:
                self._soon(self._consumer.cancel_task_queue, lane)

    def resume(self, lane: str, reason: str) -> None:
        """Take a lane up again, unless another reason holds it."""
        with self._lock:
            reasons = self._reasons[lane]
            if reason in reasons:
                reasons.discard(reason)
                if not reasons:
                    self._soon(self._consumer.add_task_queue, lane)

    def _soon(self, operation: Callable[[str], Any], lane: str) -> None:
        """Between two connections the consumer has no queues; its next one begins with those that are selected."""
        consumer = self._consumer

        def run() -> None:
            if consumer.task_consumer is not None:
                operation(lane)
            elif operation == consumer.cancel_task_queue:
                consumer.app.amqp.queues.deselect(lane)
            else:
                consumer.app.amqp.queues.select_add(consumer.app.amqp.queues[lane])

        consumer.call_soon(run)
