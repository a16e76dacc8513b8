"""The SQLite result store: first final state wins, whoever else writes at the same time."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from celery import Celery

from celery_inference.results.protocol import StoreUnavailable
from celery_inference.results.sqlite.backend import SQLiteBackend


@pytest.fixture
def app(tmp_path: Path) -> Celery:
    app = Celery("results-test", set_as_current=False)
    app.conf.update(result_serializer="json", accept_content=["json"], result_extended=True)
    app.conf.result_backend_always_retry = False
    return app


@pytest.fixture
def backend(app: Celery, tmp_path: Path) -> SQLiteBackend:
    return SQLiteBackend(app=app, url=f"sqlite:///{tmp_path / 'folder' / 'results.sqlite'}")


def test_stores_survive_kill_9_of_the_process_that_stored(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    program = f"""
import os, signal
from celery import Celery
from celery_inference.results.sqlite.backend import SQLiteBackend
from celery_inference.results.protocol import StoreUnavailable
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


def test_a_store_that_cannot_be_written_says_so_and_recovers(backend: SQLiteBackend) -> None:
    backend.store_result("a", 1, "SUCCESS")
    with sqlite3.connect(backend.database.path) as connection:
        connection.execute("ALTER TABLE items RENAME TO hidden")
    with pytest.raises(StoreUnavailable):
        backend.store_result("b", 1, "SUCCESS")
    with sqlite3.connect(backend.database.path) as connection:
        connection.execute("ALTER TABLE hidden RENAME TO items")
    backend.store_result("b", 2, "SUCCESS")
    assert backend.get_result("b") == 2
