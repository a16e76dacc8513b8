"""A host that fails far more than its peers stops receiving; one that fails like all others does not."""

from pathlib import Path

import pytest
from celery import Celery

from celery_inference.results.protocol import HostCounts, Start
from celery_inference.results.sqlite.backend import SQLiteBackend
from celery_inference.results.store.store import ResultStore
from celery_inference.sqs.consumer.pause import Pauses
from tasks.resilience.host_outliers import HostOutliers, blame


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    app = Celery("health", set_as_current=False)
    return SQLiteBackend(app=app, url=f"sqlite:///{tmp_path / 'results.sqlite'}").store


@pytest.mark.parametrize(
    ("own", "peers", "blamed"),
    [
        ((40, 30), [(40, 1), (40, 0)], True),
        ((40, 30), [], False),  # nobody to compare with
        ((40, 30), [(10, 0)], False),
        ((10, 10), [(400, 0)], False),  # too few to say
        ((40, 30), [(40, 20), (40, 25)], False),  # everybody fails: it is not the host
        ((40, 19), [(40, 0)], False),
    ],
)
def test_who_is_blamed(own: tuple[int, int], peers: list[tuple[int, int]], blamed: bool) -> None:
    figures = {"me": HostCounts(*own)} | {f"peer{n}": HostCounts(*peer) for n, peer in enumerate(peers)}
    assert (blame(figures, "me") is not None) == blamed


def test_a_host_that_fails_alone_stops_receiving_and_says_why(store: ResultStore) -> None:
    for host in ("bad", "good"):
        store.begin_attempts([Start(f"{host}{number}", 0, "m.1", host) for number in range(30)])
    store.record_failures("bad", 25)
    pauses = Pauses()
    HostOutliers(pauses).failed(store, "good")
    assert not pauses.held
    HostOutliers(pauses).failed(store, "bad")
    assert "26 of 30 attempts failed on bad" in pauses.reasons["host"]
    pauses.let_go("host")
    assert not pauses.held
