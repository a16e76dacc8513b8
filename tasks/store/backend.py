"""Celery's result backend in one SQLite file: for one machine, safe to share between its processes.

Celery's database backend makes a new engine for each call and unpickles what it cannot decode; this one keeps a
connection a thread, commits the stores of many threads together, and holds JSON alone. The first final state
that is stored for a generation of a task stays: a redelivered request cannot replace it.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from celery.backends.base import KeyValueStoreBackend
from celery.exceptions import Reject
from celery.exceptions import TimeoutError as CeleryTimeoutError
from celery.states import PENDING, READY_STATES

from sqs.brake import BRAKE
from tasks.store.chords import ChordParts
from tasks.store.database import Database
from tasks.store.entries import INCREMENT, Entry, put_entry
from tasks.store.protocol import StoreUnavailable
from tasks.store.sqlite import SQLiteStore, forget_attempts

FIRST_POLL_SECONDS = 0.005
MAX_POLL_SECONDS = 0.1

RETRY_SECONDS = 0.5

# Set while this process is a worker: a result that it holds is the work of a GPU, and a store that is full or away is
# waited for, with nothing more received. Others get the error.
PATIENCE = threading.Event()
# Set when the worker ends: what cannot be stored is then released for another delivery.
ENDING = threading.Event()
AWAY = "result store"


class SQLiteBackend(ChordParts, KeyValueStoreBackend):
    """Celery's result backend for `sqlite:///FILE`. All methods may be called from any thread."""

    supports_autoexpire = True
    implements_incr = True

    def __init__(self, url: str | None = None, **kwargs: Any) -> None:
        self.database = Database(Path((url or "").removeprefix("sqlite:///")))
        self.store = SQLiteStore(self.database, key_of=self.get_key_for_task, pending_of=self._pending)
        super().__init__(url=url, **kwargs)

    def as_uri(self, include_password: bool = True) -> str:
        """The URL of this store; it has no password."""
        return f"sqlite:///{self.database.path}"

    def _pending(self, task_id: str) -> bytes:
        meta = {"status": PENDING, "result": None, "traceback": None, "children": [], "task_id": task_id}
        encoded = self.encode(meta)
        return encoded.encode() if isinstance(encoded, str) else bytes(encoded)

    def _ensure_retryable(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run one of Celery's operations; a worker tries its stores again until they succeed. None is half done."""
        for option in ("fallback_exc", "fallback_msg", "max_retries"):
            kwargs.pop(option, None)
        while True:
            try:
                returned = func(*args, **kwargs)
            except StoreUnavailable as error:
                if func.__name__ != "_store_result" or not (PATIENCE.is_set() or ENDING.is_set()):
                    raise
                if ENDING.is_set():
                    # Not the error itself: Celery's tracer would try to store that as the request's failure.
                    raise Reject(error, requeue=True) from error
                BRAKE.hold(AWAY, f"results cannot be stored, and are held until they can: {error}")
            else:
                if BRAKE.held and func.__name__ == "_store_result":
                    BRAKE.let_go(AWAY)
                return returned
            ENDING.wait(RETRY_SECONDS)

    def _expires_at(self) -> float | None:
        return time.time() + self.expires if self.expires else None

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
        self._set(key, value, final=False)

    def _set_with_state(self, key: bytes, value: bytes | str, state: str) -> None:
        self._set(key, value, final=state in READY_STATES and key.startswith(self.task_keyprefix))

    def _set(self, key: bytes, value: bytes | str, final: bool) -> None:
        row = self._row(key, value, final=final)
        self.database.write(lambda connection: put_entry(connection, row))

    def _row(self, key: bytes, value: bytes | str, *, final: bool, generation: int | None = None) -> Entry:
        data = value.encode() if isinstance(value, str) else value
        return Entry(key, data, final, generation, time.time(), self._expires_at())

    def _store_result(
        self, task_id: str, result: Any, state: str, traceback: Any = None, request: Any = None, **_: Any
    ) -> Any:
        # Celery reads before it writes; here the write itself is conditional.
        meta = self._get_result_meta(result=result, state=state, traceback=traceback, request=request)
        meta["task_id"] = task_id
        final, generation = state in READY_STATES, getattr(request, "inference_generation", None)
        row = self._row(self.get_key_for_task(task_id), self.encode(meta), final=final, generation=generation)

        def write(connection: sqlite3.Connection) -> None:
            put_entry(connection, row)
            if final:
                forget_attempts(connection, task_id, generation)

        self.database.write(write)
        return result

    def delete(self, key: bytes) -> None:
        """Forget a value."""
        self.database.write(lambda connection: connection.execute("DELETE FROM entries WHERE key = ?", (key,)))

    def incr(self, key: bytes) -> int:
        """Add one to a counter, which begins at zero, and return it."""
        row = (key, self._expires_at())
        count: int = self.database.write(lambda connection: connection.execute(INCREMENT, row).fetchone()[0])
        return count

    def expire(self, key: bytes, value: float) -> None:
        """Let a value expire after so many seconds; 0 keeps it."""
        row = (time.time() + value if value else None, key)
        sql = "UPDATE entries SET expires_at = ? WHERE key = ?"
        self.database.write(lambda connection: connection.execute(sql, row))

    def wait_for(
        self,
        task_id: str,
        timeout: float | None = None,
        interval: float = 0.5,
        no_ack: bool = True,
        on_interval: Callable[[], Any] | None = None,
    ) -> dict[str, Any]:
        """Wait for a final state, looking often at first and at least each MAX_POLL_SECONDS.

        A look is one read of a local file, so Celery's half second would only add to the latency.

        Raises:
            celery.exceptions.TimeoutError: there was none within `timeout` seconds.
        """
        self._ensure_not_eager()
        until = None if timeout is None else time.monotonic() + timeout
        nap = FIRST_POLL_SECONDS
        while True:
            meta: dict[str, Any] = self.get_task_meta(task_id)
            if meta["status"] in READY_STATES:
                return meta
            if on_interval:
                on_interval()
            left = MAX_POLL_SECONDS if until is None else until - time.monotonic()
            if left <= 0:
                raise CeleryTimeoutError("The operation timed out.")
            time.sleep(min(nap, left))
            nap = min(nap * 1.2, MAX_POLL_SECONDS)
