"""The SQLite result store: first final state wins, whoever else writes at the same time."""

import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from celery import Celery
from celery.exceptions import TimeoutError as CeleryTimeoutError

from tasks.store.backend import SQLiteBackend
from tasks.store.protocol import StoreUnavailable


@pytest.fixture
def app(tmp_path: Path) -> Celery:
    app = Celery("results-test", set_as_current=False)
    app.conf.update(result_serializer="json", accept_content=["json"], result_extended=True)
    app.conf.result_backend_always_retry = False
    return app


@pytest.fixture
def backend(app: Celery, tmp_path: Path) -> SQLiteBackend:
    return SQLiteBackend(app=app, url=f"sqlite:///{tmp_path / 'folder' / 'results.sqlite'}")


def test_a_result_is_read_back_and_an_unknown_task_is_pending(backend: SQLiteBackend) -> None:
    backend.store_result("a", [0.25, "é"], "SUCCESS")
    assert backend.get_result("a") == [0.25, "é"]
    assert backend.get_state("b") == "PENDING"


@pytest.mark.parametrize("first", ["SUCCESS", "FAILURE", "REVOKED"])
@pytest.mark.parametrize("second", ["SUCCESS", "FAILURE", "RETRY", "STARTED"])
def test_the_first_final_state_stays(backend: SQLiteBackend, first: str, second: str) -> None:
    backend.store_result("a", 1 if first == "SUCCESS" else ValueError("first"), first)
    backend.store_result("a", 2 if second in ("SUCCESS", "STARTED") else ValueError("second"), second)
    backend._cache.clear()
    assert backend.get_state("a") == first


def test_retries_are_replaced_by_what_follows(backend: SQLiteBackend) -> None:
    backend.store_result("a", ValueError("busy"), "RETRY")
    backend.store_result("a", ValueError("still"), "RETRY")
    backend.store_result("a", 7, "SUCCESS")
    assert backend.get_result("a") == 7


def test_of_many_threads_that_end_one_task_exactly_one_is_kept(backend: SQLiteBackend) -> None:
    barrier = threading.Barrier(16)

    def end(number: int) -> None:
        barrier.wait()
        backend.store_result("contested", number, "SUCCESS")

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(end, range(16)))
    kept = backend.get_result("contested")
    backend.store_result("contested", 99, "SUCCESS")
    backend._cache.clear()
    assert backend.get_result("contested") == kept != 99


def test_stores_survive_kill_9_of_the_process_that_stored(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    program = f"""
import os, signal
from celery import Celery
from tasks.store.backend import SQLiteBackend
from tasks.store.protocol import StoreUnavailable
app = Celery("x", set_as_current=False)
backend = SQLiteBackend(app=app, url="sqlite:///{path}")
for number in range(50):
    backend.store_result(str(number), number, "SUCCESS")
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", program], timeout=60)
    assert ended.returncode == -9
    backend = SQLiteBackend(app=Celery("y", set_as_current=False), url=f"sqlite:///{path}")
    assert [backend.get_result(str(number)) for number in range(50)] == list(range(50))


def test_expired_results_are_gone_and_may_be_stored_again(app: Celery, tmp_path: Path) -> None:
    backend = SQLiteBackend(app=app, url=f"sqlite:///{tmp_path / 'r.sqlite'}", expires=1)
    backend.store_result("a", 1, "SUCCESS")
    backend.expire(backend.get_key_for_task("a"), -1)
    backend._cache.clear()
    assert backend.get_state("a") == "PENDING"
    backend.store_result("a", 2, "SUCCESS")
    assert backend.get_result("a") == 2


def test_waiting_ends_with_the_result_or_with_the_time(backend: SQLiteBackend) -> None:
    timer = threading.Timer(0.2, backend.store_result, ("a", 5, "SUCCESS"))
    timer.start()
    assert backend.wait_for("a", timeout=30)["result"] == 5
    with pytest.raises(CeleryTimeoutError):
        backend.wait_for("never", timeout=0.05)
    timer.join()


def test_a_store_that_cannot_be_written_says_so_and_recovers(backend: SQLiteBackend) -> None:
    backend.store_result("a", 1, "SUCCESS")
    with sqlite3.connect(backend.database.path) as connection:
        connection.execute("ALTER TABLE entries RENAME TO hidden")
    with pytest.raises(StoreUnavailable):
        backend.store_result("b", 1, "SUCCESS")
    with sqlite3.connect(backend.database.path) as connection:
        connection.execute("ALTER TABLE hidden RENAME TO entries")
    backend.store_result("b", 2, "SUCCESS")
    assert backend.get_result("b") == 2


def test_groups_are_kept_and_forgotten(backend: SQLiteBackend, app: Celery) -> None:
    app.loader.override_backends = {"sqlite": "tasks.store.backend:SQLiteBackend"}
    app.conf.result_backend = backend.as_uri()
    group = app.GroupResult("g", [app.AsyncResult("a", backend=backend)])
    backend.save_group("g", group)
    assert backend.restore_group("g", cache=False).id == "g"
    backend.delete_group("g")
    assert backend.restore_group("g", cache=False) is None
