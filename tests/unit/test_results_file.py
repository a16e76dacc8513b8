"""The SQLite file of the result store: its versions, its loss, and what happens when it cannot be written."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from celery import Celery

from celery_inference.results.protocol import Start, StoreUnavailable
from celery_inference.results.sqlite.backend import SQLiteBackend
from celery_inference.results.sqlite.database import Database
from celery_inference.results.sqlite.schema import STEPS


def backend_at(path: Path) -> SQLiteBackend:
    app = Celery("results-file", set_as_current=False)
    app.conf.update(result_serializer="json", accept_content=["json"])
    return SQLiteBackend(app=app, url=f"sqlite:///{path}")


def make_file_of_the_first_version(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE entries (key BLOB PRIMARY KEY, value BLOB NOT NULL, final INTEGER NOT NULL, expires_at REAL)"
            " WITHOUT ROWID"
        )
        connection.execute(
            "INSERT INTO entries VALUES (?, ?, 1, NULL)",
            (b"celery-task-meta-old", b'{"status": "SUCCESS", "result": 5, "children": [], "traceback": null}'),
        )
    connection.close()


def test_an_old_file_is_brought_up_to_date_by_many_at_once(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    make_file_of_the_first_version(path)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: backend_at(path).get_result("old"), range(6)))
    assert found == [5] * 6
    backend = backend_at(path)
    assert backend.store.begin_attempts([Start("old", 0, "m.1", "host")]) == [1]
    assert backend.database.read("PRAGMA user_version") == [(len(STEPS),)]


def test_a_file_of_a_newer_version_is_used_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    backend_at(path).store_result("a", 1, "SUCCESS")
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
        connection.execute("ALTER TABLE items ADD COLUMN of_the_future TEXT")
    connection.close()
    backend = backend_at(path)
    backend.store_result("b", 2, "SUCCESS")
    assert (backend.get_result("a"), backend.get_result("b")) == (1, 2)
    assert backend.database.read("PRAGMA user_version") == [(99,)]


def test_a_file_that_is_none_of_sqlites_is_named(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    path.write_text("a letter to the editor" * 100)
    with pytest.raises(StoreUnavailable, match=r"results\.sqlite"):
        backend_at(path).store.attempts([("a", 0)])
    with pytest.raises(StoreUnavailable, match=r"results\.sqlite"):
        backend_at(path).store_result("a", 1, "SUCCESS")


def test_a_file_that_was_removed_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    backend = backend_at(path)
    backend.store_result("a", 1, "SUCCESS")
    for file in tmp_path.iterdir():
        file.unlink()
    backend.store_result("b", 2, "SUCCESS")
    backend._cache.clear()
    assert (backend.get_state("a"), backend.get_result("b")) == ("PENDING", 2)


def test_one_wrong_write_does_not_cost_its_neighbours_theirs(tmp_path: Path) -> None:
    database = Database(tmp_path / "results.sqlite")
    lease = "INSERT INTO items (id, part, rest) VALUES ('lease', ?, '{}')"
    futures = [
        database.write_soon(lambda connection, name=name: connection.execute(lease, (name,)))
        for name in ("a", None, "b", "a", "c")
    ]
    errors = [type(future.exception(timeout=60)) for future in futures]
    assert errors == [type(None), sqlite3.IntegrityError, type(None), sqlite3.IntegrityError, type(None)]
    assert database.read("SELECT part FROM items ORDER BY part") == [("a",), ("b",), ("c",)]


def test_no_cursor_leaves_the_thread_that_writes(tmp_path: Path) -> None:
    """SQLite answered "API misuse" now and then: a cursor was let go of where its result had been waited for."""
    database = Database(tmp_path / "results.sqlite")
    assert database.write(lambda connection: connection.execute("SELECT 1")) is None
    assert database.write(lambda connection: connection.execute("SELECT 1").fetchone()) == (1,)
