"""Lanes that this worker does not consume, each for one reason or several: it goes on when the last one is over."""

import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

_lock = threading.Lock()
_reasons: WeakKeyDictionary[Any, dict[str, set[str]]] = WeakKeyDictionary()  # of each consumer, by lane


def pause_in(consumer: Any, reason: str) -> Callable[[str], None]:
    """Stops a lane in Celery's consumer, for this reason: what waits here is released, what runs is finished."""

    def pause(lane: str) -> None:
        with _lock:
            reasons = _reasons.setdefault(consumer, {}).setdefault(lane, set())
            first = not reasons
            reasons.add(reason)
            if first:
                consumer.call_soon(_unless_away(consumer, consumer.cancel_task_queue), lane)

    return pause


def resume_in(consumer: Any, reason: str) -> Callable[[str], None]:
    """Takes a lane up again in Celery's consumer, unless another reason holds it."""

    def resume(lane: str) -> None:
        with _lock:
            reasons = _reasons.get(consumer, {}).get(lane, set())
            if reason in reasons:
                reasons.discard(reason)
                if not reasons:
                    consumer.call_soon(_unless_away(consumer, consumer.add_task_queue), lane)

    return resume


def _unless_away(consumer: Any, operation: Callable[[str], Any]) -> Callable[[str], None]:
    """Between two connections the consumer has no queues; its next one begins with those that are selected."""

    def run(lane: str) -> None:
        if consumer.task_consumer is not None:
            operation(lane)
        elif operation == consumer.cancel_task_queue:
            consumer.app.amqp.queues.deselect(lane)
        else:
            consumer.app.amqp.queues.select_add(consumer.app.amqp.queues[lane])

    return run
