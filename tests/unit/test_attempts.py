"""What an attempt that ends in an error leads to, delivery by delivery."""

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from celery.exceptions import Reject

from models.errors import DeviceCrash, DeviceLost, EngineStopped, Expired, InvalidInput, ModelsError
from tasks import app, feature_extraction, infer, serving
from tasks.fates import Fate, fate_of
from tasks.store.backend import SQLiteBackend


class BrokenEngine:
    """Resolves every request with the same error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def submit(self, *_: Any, **__: Any) -> Future[list[Any]]:
        future: Future[list[Any]] = Future()
        future.set_exception(self.error)
        return future


@pytest.fixture
def results(tmp_path: Path) -> Iterator[SQLiteBackend]:
    backend = SQLiteBackend(app=app, url=f"sqlite:///{tmp_path / 'results.sqlite'}")
    feature_extraction.backend = backend
    yield backend
    feature_extraction.backend = None


@pytest.fixture
def delivered() -> Iterator[Any]:
    """Runs the task as its n-th delivery would."""

    def run(error: Exception, deliveries: int) -> Any:
        serving.use(BrokenEngine(error))  # type: ignore[arg-type]
        properties = {"delivery_info": {"delivery_count": deliveries}}
        feature_extraction.push_request(id="one", called_directly=False, properties=properties, expires=None)
        try:
            return feature_extraction(inputs="a text")
        finally:
            feature_extraction.pop_request()

    yield run
    serving.use(None)


@pytest.mark.parametrize("error", [DeviceLost("the device failed"), RuntimeError("who knows"), OSError("network")])
@pytest.mark.parametrize("deliveries", [1, 2, 3])
def test_a_passing_fault_releases_the_delivery_and_shows_the_caller_retry(
    results: SQLiteBackend, delivered: Any, error: Exception, deliveries: int
) -> None:
    with pytest.raises(Reject) as caught:
        delivered(error, deliveries)
    assert caught.value.requeue
    assert results.get_state("one") == "RETRY"


def test_the_last_attempt_fails_with_the_error_itself(results: SQLiteBackend, delivered: Any) -> None:
    with pytest.raises(DeviceLost):
        delivered(DeviceLost("the device failed"), 4)
    assert results.get_state("one") == "PENDING"  # Celery's tracer stores FAILURE from here


@pytest.mark.parametrize("error", [InvalidInput("bad"), DeviceCrash("it crashes"), Expired("too late")])
def test_what_trying_again_cannot_mend_is_not_tried_again(
    results: SQLiteBackend, delivered: Any, error: Exception
) -> None:
    with pytest.raises(type(error)):
        delivered(error, 1)
    assert results.get_state("one") == "PENDING"


@pytest.mark.parametrize("deliveries", [1, 4, 9])
def test_an_engine_that_stops_is_nobodys_attempt(results: SQLiteBackend, delivered: Any, deliveries: int) -> None:
    with pytest.raises(Reject) as caught:
        delivered(EngineStopped("stopped"), deliveries)
    assert caught.value.requeue
    assert results.get_state("one") == "PENDING"


def test_without_a_worker_the_task_says_what_to_do() -> None:
    with pytest.raises(EngineStopped, match=r"\.delay\(\)"):
        infer("all-minilm-l6-v2", "called directly")


def test_every_error_of_the_engine_has_a_fate() -> None:
    def below(root: type[Exception]) -> set[type[Exception]]:
        return {root}.union(*(below(child) for child in root.__subclasses__()))

    fates = {error.__name__: fate_of(error("x")) for error in below(ModelsError)}
    assert {name for name, fate in fates.items() if fate is Fate.DEAD_LETTER} == {
        "InvalidInput",
        "UnknownModel",
        "UnknownOption",
        "InputFailed",
        "DeviceCrash",
    }
    assert {name for name, fate in fates.items() if fate is Fate.EXPIRED} == {"Expired", "RequestExpired"}
