"""What an attempt that ends in an error leads to, delivery by delivery."""

from collections.abc import Iterator
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from celery.exceptions import Reject

from celery_inference import app, feature_extraction, infer
from celery_inference.errors import AttemptsUsedUp, RequestCancelled, RequestExpired
from celery_inference.results.protocol import Start, StoreUnavailable
from celery_inference.specs.errors import DeviceCrash, DeviceLost, EngineStopped, Expired, InvalidInput
from celery_inference.sqs.consumer.deliveries import HELD
from celery_inference.sqs.consumer.leases import lease_end
from celery_inference.sqs.messages.delivery import Delivery
from tasks.execution.execution import AlreadyEnded, Returned, Withdrawn
from tests.support.client import results_in
from tests.support.stores import Make, make, moto, redis_server

__all__ = ["make", "moto", "redis_server"]


class BrokenEngine:
    """Begins every request, or does not, and resolves it with the same error."""

    def __init__(self, error: Exception, *, begun: bool) -> None:
        self.error = error
        self.begun = begun

    def serves(self, _: str) -> bool:
        return False

    def submit(self, *_: Any, request_id: str, **__: Any) -> Future[list[Any]]:
        if self.begun:
            app.worker_context.attempts.begin_requests([request_id], True)
        future: Future[list[Any]] = Future()
        future.set_exception(self.error)
        return future


@pytest.fixture
def results(make: Make) -> Iterator[Any]:
    """On each store at hand."""
    backend = make(app=app)
    with results_in(app, backend):
        yield backend


class Delivered:
    """Runs the task as a worker's thread runs one delivery of request "one"."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend

    def __call__(
        self, error: Exception, deliveries: int = 1, *, begun: bool = True, host: str = "here", **request: Any
    ) -> Any:
        app.worker_context.engine.engine = BrokenEngine(error, begun=begun)
        delivery = {"delivery_count": deliveries, "message_id": "m", **request.pop("delivery", {})}
        properties = {"delivery_info": delivery, **request.pop("properties", {})}
        feature_extraction.push_request(
            id="one", called_directly=False, properties=properties, hostname=host, **request
        )
        try:
            return feature_extraction(inputs="a text")
        finally:
            feature_extraction.pop_request()

    def attempts(self) -> int:
        found = self.backend.store.attempts([("one", 0)])
        return found["one", 0].count if found else 0


@pytest.fixture
def delivered(results: Any) -> Iterator[Delivered]:
    yield Delivered(results)
    app.worker_context.engine.engine = None


@pytest.mark.parametrize("error", [DeviceLost("the device failed"), RuntimeError("who knows"), OSError("network")])
def test_a_passing_fault_releases_the_delivery_and_shows_the_caller_retry(
    results: Any, delivered: Delivered, error: Exception
) -> None:
    for deliveries in (1, 2, 3):
        with pytest.raises(Reject) as caught:
            delivered(error, deliveries)
        assert caught.value.requeue
        assert results.get_state("one") == "RETRY"
        assert delivered.attempts() == deliveries
    with pytest.raises(type(error)) as last:
        delivered(error, 4)
    assert last.value is error, "Celery's tracer stores FAILURE from here"
    assert results.get_state("one") == "RETRY"


def test_deliveries_that_never_started_use_up_nothing(results: Any, delivered: Delivered) -> None:
    for deliveries in (3, 4, 9):
        with pytest.raises(Reject):
            delivered(DeviceLost("no device is left"), deliveries, begun=False)
    assert delivered.attempts() == 0
    with pytest.raises(Reject):
        delivered(DeviceLost("the device failed"), 10)
    assert delivered.attempts() == 1


def test_attempts_that_took_their_worker_along_end_the_request(results: Any, delivered: Delivered) -> None:
    results.store.begin_attempts([Start("one", 0, f"m.{number}", "gone") for number in range(3)])
    assert results.store.begin_attempts([Start("one", 0, "m.3", "gone")]) == [4]
    with pytest.raises(AttemptsUsedUp, match="4 attempts"):
        delivered(RuntimeError("never asked"), 5)


def test_the_last_attempts_error_is_the_one_that_is_known(results: Any, delivered: Delivered) -> None:
    with pytest.raises(Reject):
        delivered(DeviceLost("the device failed"), 1)
    results.store.begin_attempts([Start("one", 0, f"x.{number}", "gone") for number in range(3)])
    with pytest.raises(DeviceLost, match="the device failed"):
        delivered(RuntimeError("never asked"), 5)


@pytest.mark.parametrize("error", [InvalidInput("bad"), DeviceCrash("it crashes")])
def test_what_trying_again_cannot_mend_is_not_tried_again(results: Any, delivered: Delivered, error: Exception) -> None:
    with pytest.raises(type(error)):
        delivered(error, 1)
    assert results.get_state("one") == "PENDING"


def test_a_duplicate_of_a_running_request_comes_back_ever_more_rarely(delivered: Delivered) -> None:
    running: Any = SimpleNamespace(start=Start("one", 0, "m.1", "here"), generation=0)
    held = Delivery("q", "u", "m", "r", "", {}, {}, lease_end(30))
    HELD.add(held)
    waits = []
    with app.worker_context.attempts.running(running):
        for deliveries, earlier in ((1, 0), (2, 0), (4, 0), (1, 4), (3, 40)):
            with pytest.raises(Returned):
                delivered(
                    RuntimeError("never asked"),
                    properties={"delivery_tag": held.tag},
                    delivery={"delivery_count": deliveries, "earlier_deliveries": earlier},
                )
            waits.append(held.release_after_seconds)
    HELD.remove(held)
    assert waits == [1, 2, 8, 16, 60]


def test_what_has_expired_is_withdrawn(delivered: Delivered) -> None:
    with pytest.raises(Withdrawn) as caught:
        delivered(Expired("too late"))
    assert isinstance(caught.value.decision.error, RequestExpired)
    with pytest.raises(Withdrawn):
        delivered(RuntimeError("never asked"), expires="2020-01-01T00:00:00+00:00")


def test_what_was_cancelled_is_withdrawn_at_its_next_delivery(results: Any, delivered: Delivered) -> None:
    results.store.cancel(["one"], 60)
    with pytest.raises(Withdrawn) as caught:
        delivered(RuntimeError("never asked"), 2)
    assert isinstance(caught.value.decision.error, RequestCancelled)


@pytest.mark.parametrize("deliveries", [1, 4, 9])
def test_an_engine_that_stops_is_nobodys_attempt(results: Any, delivered: Delivered, deliveries: int) -> None:
    with pytest.raises(Reject) as caught:
        delivered(EngineStopped("stopped"), deliveries)
    assert caught.value.requeue
    assert results.get_state("one") == "PENDING"
    assert delivered.attempts() == 0


@pytest.mark.parametrize("state", ["SUCCESS", "FAILURE", "REVOKED"])
def test_a_duplicate_of_what_has_ended_does_no_work(results: Any, delivered: Delivered, state: str) -> None:
    results.store_result("one", 5 if state == "SUCCESS" else DeviceLost("gone"), state)
    with pytest.raises(AlreadyEnded) as caught:
        delivered(RuntimeError("never asked"), 2)
    assert (caught.value.error is not None) == (state == "FAILURE"), "whose dead letter may be missing still"


@pytest.mark.parametrize(
    "request_of", [{"parent_id": "p"}, {"retries": 1}, {"inference_once": True}, {"delivery": {"returns": 1}}]
)
def test_what_may_come_in_a_second_message_looks_at_its_first_delivery(
    results: Any, delivered: Delivered, request_of: dict[str, Any]
) -> None:
    results.store_result("one", 5, "SUCCESS")
    with pytest.raises(AlreadyEnded):
        delivered(RuntimeError("never asked"), 1, **request_of)


def test_a_later_generation_makes_an_old_delivery_void(results: Any, delivered: Delivered) -> None:
    results.store.open_generations([("one", 1)])
    with pytest.raises(AlreadyEnded):
        delivered(RuntimeError("never asked"), 2)
    with pytest.raises(Reject):
        delivered(DeviceLost("tried"), 2, inference_generation=1)
    assert results.store.attempts([("one", 1)])["one", 1].count == 1


def test_a_last_attempt_is_left_to_another_host_when_there_is_one(results: Any, delivered: Delivered) -> None:
    results.store.begin_attempts([Start("one", 0, f"m.{number}", "here") for number in range(3)])
    tried = InvalidInput("tried")
    with pytest.raises(InvalidInput):
        delivered(tried, 4, begun=False)
    results.store.begin_attempts([Start("another", 0, "m.1", "elsewhere")])
    with pytest.raises(Reject, match="another host"):
        delivered(tried, 4, begun=False)
    with pytest.raises(InvalidInput):
        delivered(tried, 6, begun=False)
    with pytest.raises(InvalidInput):
        delivered(tried, 4, begun=False, host="elsewhere")


def test_a_store_that_is_away_costs_no_attempt_and_stops_no_work(
    results: Any, delivered: Delivered, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> Any:
        raise StoreUnavailable("away")

    monkeypatch.setattr(results.store, "begin_attempts", away)
    with pytest.raises(InvalidInput):
        delivered(InvalidInput("tried"), 1)
    # As a store answers what it cannot write: half a surrogate pair, a number beyond its integers.
    monkeypatch.setattr(results.store, "begin_attempts", lambda _: "\ud800".encode())
    with pytest.raises(InvalidInput):
        delivered(InvalidInput("tried"), 1)
    monkeypatch.setattr(results.store, "generations", away)
    with pytest.raises(Reject) as caught:
        delivered(InvalidInput("never asked"), 3)
    assert caught.value.requeue


def test_the_first_delivery_writes_nothing_when_told_so(
    results: Any, delivered: Delivered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.conf, "inference_attempts", "redelivered")
    with pytest.raises(InvalidInput):
        delivered(InvalidInput("tried"), 1)
    assert delivered.attempts() == 0
    with pytest.raises(Reject):
        delivered(DeviceLost("failed"), 1)
    assert delivered.attempts() == 1, "a failure is counted all the same"
    with pytest.raises(InvalidInput):
        delivered(InvalidInput("tried"), 2)
    assert delivered.attempts() == 2


def test_without_a_worker_the_task_says_what_to_do() -> None:
    with pytest.raises(EngineStopped, match=r"\.delay\(\)"):
        infer("all-minilm-l6-v2", "called directly")
