"""The circuit breaker of this worker's lanes: it counts outcomes, and stops a lane that passes its limit."""

import time
from collections.abc import Sequence
from typing import Any

from celery.signals import task_success

from celery_inference.results.access import index_of
from celery_inference.sqs.dead_letters.letter import DeadLetter
from celery_inference.sqs.dead_letters.writer import listen
from celery_inference.sqs.lanes import Lane
from celery_inference.sqs.messages.reason import Cause
from tasks.resilience.circuit_breaker import CircuitBreaker
from tasks.resilience.failure_rate import FailureRate
from tasks.resilience.lane_pauses import pause_in, resume_in

REASON = "dead letters"


_watch: CircuitBreaker | None = None


def start_circuit_breaker(consumer: Any, lanes: Sequence[Lane]) -> None:
    """From now on, stop the lanes of this consumer that pass their limit."""
    global _watch  # noqa: PLW0603 - signals find it here
    app, conf = consumer.app, consumer.app.conf
    limits = {
        lane.name: FailureRate(
            share=conf.inference_dead_letter_share,
            least=conf.inference_dead_letter_least,
            an_hour=conf.inference_dead_letters_an_hour,
            clock=time.monotonic,
        )
        for lane in lanes
    }
    _watch = CircuitBreaker(
        lanes,
        limits,
        index_of(app),
        name=consumer.hostname,
        pause=pause_in(consumer, REASON),
        resume=resume_in(consumer, REASON),
    )
    _watch.start()
    listen(_count)


def circuit_breaker() -> CircuitBreaker | None:
    """What this worker knows of stopped lanes; None in other processes."""
    return _watch


def _count(letter: DeadLetter) -> None:
    reason = letter.reason
    if _watch is not None and reason is not None and reason.lane and reason.cause is not Cause.INVALID_INPUT:
        _watch.note(reason.lane, dead=True)


@task_success.connect
def count_success(sender: Any = None, **_: Any) -> None:
    """A request of this worker has succeeded. In a thread of the pool."""
    if _watch is not None:
        _watch.note(str((sender.request.delivery_info or {}).get("routing_key")), dead=False)
