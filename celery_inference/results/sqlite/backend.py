"""Celery's result backend in one SQLite file: for one machine, safe to share between its processes.

Celery's database backend makes a new engine for each call and unpickles what it cannot decode; this one keeps a
connection a thread, commits the stores of many threads together, and holds JSON alone.
"""

import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from celery_inference.results.backend import StoreBackend
from celery_inference.results.rules import NewState
from celery_inference.results.sqlite.database import Database
from celery_inference.results.sqlite.dead_letter_index import SQLiteDeadLetterIndex
from celery_inference.results.sqlite.states import put_entry
from celery_inference.results.sqlite.store import SQLiteStore, forget_attempts


class SQLiteBackend(StoreBackend):
    """Celery's result backend for `sqlite:///FILE`. All methods may be called from any thread."""

    # A look is one read of a local file, so Celery's half second would only add to the latency.
    poll_seconds = (0.005, 1.2, 0.1)

    def __init__(self, url: str | None = None, **kwargs: Any) -> None:
        self.database = Database(Path((url or "").removeprefix("sqlite:///")))
        self.store = SQLiteStore(self.database, key_of=self.get_key_for_task, pending_of=self.pending_of)
        self.dead_letters = SQLiteDeadLetterIndex(self.store)
        super().__init__(url=url, **kwargs)

    def as_uri(self, include_password: bool = True) -> str:
        """The URL of this store; it has no password."""
        return f"sqlite:///{self.database.path}"

    def get(self, key: bytes) -> bytes | None:
        """The stored value, or None."""
        return next(iter(self.mget([key])), None)

    def mget(self, keys: Iterable[bytes]) -> Iterator[bytes | None]:
        """The stored value of each key, or None, in the keys' order."""
        wanted = list(keys)
        sql = "SELECT key, value FROM entries WHERE key IN ({marks}) AND (expires_at IS NULL OR expires_at > ?)"
        found: dict[bytes, bytes] = dict(self.database.read_for(sql, wanted, time.time()))
        return iter([found.get(key) for key in wanted])

    def set(self, key: bytes, value: bytes | str) -> None:
        """Store a value that later ones may replace."""
        data = value.encode() if isinstance(value, str) else value
        state = NewState(key, data, False, None, time.time(), self._expires_at())
        self.database.write(lambda connection: put_entry(connection, state))

    def put_state(self, task_id: str, state: NewState) -> None:
        """See StoreBackend."""

        def write(connection: sqlite3.Connection) -> None:
            put_entry(connection, state)
            if state.final:
                forget_attempts(connection, task_id, state.generation)

        self.database.write(write)

    def delete(self, key: bytes) -> None:
        """Forget a value."""
        self.database.write(lambda connection: connection.execute("DELETE FROM entries WHERE key = ?", (key,)))

    def expire(self, key: bytes, value: float) -> None:
        """Let a value expire after so many seconds; 0 keeps it."""
        row = (time.time() + value if value else None, key)
        sql = "UPDATE entries SET expires_at = ? WHERE key = ?"
        self.database.write(lambda connection: connection.execute(sql, row))
