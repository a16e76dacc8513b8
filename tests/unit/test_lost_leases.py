"""A request whose lease is lost while it waits for the engine."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from celery.exceptions import Reject

from celery_inference.inputs.rows import Rows
from celery_inference.sqs.consumer.deliveries import HELD
from celery_inference.sqs.messages.delivery import Delivery, from_answer
from tasks.execution.engine_client import EngineClient


class Waiting:
    """An engine whose requests wait until the test lets them begin."""

    def __init__(self) -> None:
        self.future: Future[list[Any]] = Future()
        self.asked = threading.Event()

    def submit(self, *_: Any, **__: Any) -> "Future[list[Any]]":
        self.asked.set()
        return self.future


@pytest.fixture
def engine() -> Waiting:
    return Waiting()


@pytest.fixture
def client(engine: Waiting) -> EngineClient:
    return EngineClient(engine)  # type: ignore[arg-type]


@pytest.fixture
def delivery() -> Iterator[Delivery]:
    delivery = from_answer({"MessageId": "m"}, "inference", "http://q", time.monotonic() + 30)
    HELD.add(delivery)
    yield delivery
    HELD.remove(delivery)


def lose(delivery: Delivery) -> None:
    """As the thread does that renews leases."""
    delivery.lost = True
    for callback in delivery.on_lost:
        callback(delivery)


def in_a_thread(client: EngineClient, delivery: Delivery, then: Callable[[], None], engine: Waiting) -> list[Any]:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(
            client.run, "m", Rows(["x"], many=True), {}, request_id="r", deadline=None, delivery_tag=delivery.tag
        )
        assert engine.asked.wait(10)
        while not delivery.on_lost:
            time.sleep(0.01)
        then()
        return running.result(10)


def test_one_that_waits_is_dropped_and_counted_and_not_failed(
    client: EngineClient, engine: Waiting, delivery: Delivery
) -> None:
    with pytest.raises(Reject) as raised:
        in_a_thread(client, delivery, lambda: lose(delivery), engine)
    assert raised.value.requeue
    assert not engine.future.set_running_or_notify_cancel()  # what the engine asks before each batch
    assert client.dropped() == {"lease lost": 1}


def test_one_that_has_begun_goes_on_and_answers(client: EngineClient, engine: Waiting, delivery: Delivery) -> None:
    def begin_then_lose() -> None:
        engine.future.set_running_or_notify_cancel()
        lose(delivery)
        engine.future.set_result(["answer"])

    assert in_a_thread(client, delivery, begin_then_lose, engine) == ["answer"]


def test_one_whose_lease_is_lost_already_is_dropped_at_once(client: EngineClient, delivery: Delivery) -> None:
    delivery.lost = True
    with pytest.raises(Reject):
        client.run("m", Rows(["x"], many=True), {}, request_id="r", deadline=None, delivery_tag=delivery.tag)
