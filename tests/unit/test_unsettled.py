"""A request whose settlement itself raises is delivered again once, and then ends."""

import time
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from celery_inference.results.protocol import StoreUnavailable
from celery_inference.sqs.consumer.deliveries import HELD
from celery_inference.sqs.messages.delivery import Delivery
from tasks.worker.pool import EnginePool


class Background:
    """Does the work at once."""

    def run(self, work: Any, otherwise: Any) -> None:
        work()


class Unsettled:
    """A request as the pool sees it."""

    id = "one"

    def __init__(self, delivery: Delivery, seen: list[str]) -> None:
        self.message = SimpleNamespace(delivery=delivery, delivery_tag=delivery.tag)
        self._context = SimpleNamespace(id="one", delivery_info={})
        self.reject = lambda requeue: seen.append(f"requeue={requeue}")


@pytest.mark.parametrize(
    ("error", "deliveries", "expected"),
    [
        (TypeError("a bug"), 1, ["requeue=True"]),
        (TypeError("a bug"), 2, ["FAILURE", "requeue=False"]),
        (StoreUnavailable("away"), 20, ["requeue=True"]),
    ],
)
def test_what_cannot_be_settled_is_tried_once_more(error: Exception, deliveries: int, expected: list[str]) -> None:
    seen: list[str] = []
    delivery = Delivery("q", "u", "m", "r", "", {}, {"ApproximateReceiveCount": str(deliveries)}, time.monotonic() + 30)
    HELD.add(delivery)
    backend = SimpleNamespace(mark_as_failure=lambda *_, **__: seen.append("FAILURE"))
    pool: Any = SimpleNamespace(
        app=SimpleNamespace(backend=backend, worker_context=SimpleNamespace(background=Background())), _running={}
    )
    pool._fail = lambda *arguments: EnginePool._fail(pool, *arguments)
    request: Any = Unsettled(delivery, seen)
    future: Future[None] = Future()
    future.set_exception(error)
    EnginePool._settle(pool, request, future)
    HELD.remove(delivery)
    assert seen == expected
    assert (delivery.reason is not None) == ("FAILURE" in expected)
