"""A result store in one SQLite file: for one machine, safe to share between its processes.

Celery's database backend makes a new engine for each call and unpickles what it cannot decode; this one keeps a
connection a thread, commits the stores of many threads together, and holds JSON alone. The first final state
that is stored for a task stays: a redelivered request cannot replace it.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Self

from celery.backends.base import KeyValueStoreBackend
from celery.exceptions import TimeoutError as CeleryTimeoutError
from celery.states import READY_STATES
from celery.utils.log import get_logger

SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    key BLOB PRIMARY KEY,
    value BLOB NOT NULL,
    final INTEGER NOT NULL,
    expires_at REAL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entries_by_expiry ON entries (expires_at) WHERE expires_at IS NOT NULL;
"""
# `final` entries are replaced by nothing; others by whatever comes later.
STORE = """
INSERT INTO entries (key, value, final, expires_at) VALUES (?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, final = excluded.final, expires_at = excluded.expires_at
WHERE NOT entries.final OR entries.expires_at < ?
"""
INCREMENT = """
INSERT INTO entries (key, value, final, expires_at) VALUES (?, 1, 0, ?)
ON CONFLICT (key) DO UPDATE SET value = CAST(entries.value AS INTEGER) + 1
RETURNING CAST(value AS INTEGER)
"""
BUSY_TIMEOUT_SECONDS = 30.0
FIRST_POLL_SECONDS = 0.005
MAX_POLL_SECONDS = 0.1
SWEEP_SECONDS = 600.0

RETRY_SECONDS = 0.5
SAY_SECONDS = 60.0

Write = Callable[[sqlite3.Connection], Any]

logger = get_logger(__name__)

# Set while this process is a worker: a result that it holds is the work of a GPU, and a store that is full or away is
# waited for. Others, and a worker that is ending, get the error.
PATIENCE = threading.Event()


@dataclass(frozen=True, slots=True)
class Inode:
    """Which file a path named when it was opened."""

    device: int
    number: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """The file that the path names now; raises OSError if it names none."""
        status = os.stat(path)
        return cls(status.st_dev, status.st_ino)

    def is_still(self, path: Path) -> bool:
        """Whether the path names the same file: SQLite goes on writing into one that was deleted."""
        try:
            return Inode.of(path) == self
        except OSError:
            return False


def connect(path: Path) -> sqlite3.Connection:
    """A connection in WAL mode, where readers and the writer do not wait for each other.

    Raises:
        sqlite3.Error, OSError: the file cannot be opened, or is none of SQLite's.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    # In WAL mode NORMAL loses the last commits at a power cut, and a lost result would be a lost outcome.
    connection.execute("PRAGMA synchronous=FULL")
    connection.executescript(SCHEMA)
    return connection


class Writer:
    """One thread that commits the writes of all others, as many as are waiting in one transaction."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: SimpleQueue[tuple[Write, Future[Any]]] = SimpleQueue()
        self._swept_at = time.monotonic()
        threading.Thread(target=self._run, name="result-writer", daemon=True).start()

    def write(self, operation: Write) -> Any:
        """Run the operation inside a transaction; returns, with its result, when it is on disk.

        Raises:
            sqlite3.Error: nothing was written.
        """
        future: Future[Any] = Future()
        self._waiting.put((operation, future))
        return future.result()

    def _run(self) -> None:
        connection: sqlite3.Connection | None = None
        opened = Inode(0, 0)
        while True:
            batch = [self._waiting.get()]
            while not self._waiting.empty():
                batch.append(self._waiting.get())
            try:
                if connection is None or not opened.is_still(self._path):
                    connection = connect(self._path)
                    opened = Inode.of(self._path)
                results = self._commit(connection, [operation for operation, _ in batch])
            except Exception as error:
                connection = None
                for _, future in batch:
                    future.set_exception(error)
                continue
            for (_, future), result in zip(batch, results, strict=True):
                future.set_result(result)

    def _commit(self, connection: sqlite3.Connection, operations: list[Write]) -> list[Any]:
        connection.execute("BEGIN IMMEDIATE")
        try:
            results = [operation(connection) for operation in operations]
            if time.monotonic() - self._swept_at > SWEEP_SECONDS:
                connection.execute("DELETE FROM entries WHERE expires_at < ?", (time.time(),))
                self._swept_at = time.monotonic()
            connection.execute("COMMIT")
        except Exception:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        return results


class SQLiteBackend(KeyValueStoreBackend):
    """Celery's result backend for `sqlite:///FILE`. All methods may be called from any thread."""

    supports_autoexpire = True
    implements_incr = True

    def __init__(self, url: str | None = None, **kwargs: Any) -> None:
        self._path = Path((url or "").removeprefix("sqlite:///"))
        self._begin()
        super().__init__(url=url, **kwargs)

    def _begin(self) -> None:
        """What one process opens, and a fork of it must open anew."""
        self._process = os.getpid()
        self._local = threading.local()
        self._lock = threading.Lock()
        self._writer: Writer | None = None
        self._said_at = 0.0

    def as_uri(self, include_password: bool = True) -> str:
        """The URL of this store; it has no password."""
        return f"sqlite:///{self._path}"

    def _ensure_retryable(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run one of Celery's operations; a worker tries its stores again until they succeed. None is half done."""
        for option in ("fallback_exc", "fallback_msg", "max_retries"):
            kwargs.pop(option, None)
        while True:
            try:
                return func(*args, **kwargs)
            except (sqlite3.Error, OSError) as error:
                if func.__name__ != "_store_result" or not PATIENCE.is_set():
                    raise
                self._say(error)
            time.sleep(RETRY_SECONDS)

    def _say(self, error: Exception) -> None:
        if time.monotonic() - self._said_at > SAY_SECONDS:
            self._said_at = time.monotonic()
            logger.error("results cannot be stored in %s, and are held until they can: %s", self._path, error)

    def _read(self, sql: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        if self._process != os.getpid():
            self._begin()
        opened: tuple[sqlite3.Connection, Inode] | None = getattr(self._local, "opened", None)
        if opened is None or not opened[1].is_still(self._path):
            connection = connect(self._path)
            self._local.opened = opened = (connection, Inode.of(self._path))
        rows: list[tuple[Any, ...]] = opened[0].execute(sql, parameters).fetchall()
        return rows

    def _write(self, operation: Write) -> Any:
        if self._process != os.getpid():
            self._begin()
        with self._lock:
            if self._writer is None:
                self._writer = Writer(self._path)
        return self._writer.write(operation)

    def _expires_at(self) -> float | None:
        return time.time() + self.expires if self.expires else None

    def get(self, key: bytes) -> bytes | None:
        """The stored value, or None."""
        return next(iter(self.mget([key])), None)

    def mget(self, keys: Iterable[bytes]) -> Iterator[bytes | None]:
        """The stored value of each key, or None, in the keys' order."""
        wanted = list(keys)
        found: dict[bytes, bytes] = {}
        for start in range(0, len(wanted), 500):
            part = tuple(wanted[start : start + 500])
            marks = ",".join("?" * len(part))
            found.update(
                self._read(
                    f"SELECT key, value FROM entries WHERE key IN ({marks})"  # noqa: S608 - question marks only
                    " AND (expires_at IS NULL OR expires_at > ?)",
                    (*part, time.time()),
                )
            )
        return iter([found.get(key) for key in wanted])

    def set(self, key: bytes, value: bytes | str) -> None:
        """Store a value that later ones may replace."""
        self._set(key, value, final=False)

    def _set_with_state(self, key: bytes, value: bytes | str, state: str) -> None:
        self._set(key, value, final=state in READY_STATES and key.startswith(self.task_keyprefix))

    def _set(self, key: bytes, value: bytes | str, final: bool) -> None:
        data = value.encode() if isinstance(value, str) else value
        row = (key, data, final, self._expires_at(), time.time())
        self._write(lambda connection: connection.execute(STORE, row))

    def _store_result(
        self, task_id: str, result: Any, state: str, traceback: Any = None, request: Any = None, **_: Any
    ) -> Any:
        # Celery reads before it writes; here the write itself is conditional.
        meta = self._get_result_meta(result=result, state=state, traceback=traceback, request=request)
        meta["task_id"] = task_id
        self._set_with_state(self.get_key_for_task(task_id), self.encode(meta), state)
        return result

    def delete(self, key: bytes) -> None:
        """Forget a value."""
        self._write(lambda connection: connection.execute("DELETE FROM entries WHERE key = ?", (key,)))

    def incr(self, key: bytes) -> int:
        """Add one to a counter, which begins at zero, and return it: how Celery counts a chord's parts."""
        row = (key, self._expires_at())
        count: int = self._write(lambda connection: connection.execute(INCREMENT, row).fetchone()[0])
        return count

    def expire(self, key: bytes, value: float) -> None:
        """Let a value expire after so many seconds; 0 keeps it."""
        row = (time.time() + value if value else None, key)
        self._write(lambda connection: connection.execute("UPDATE entries SET expires_at = ? WHERE key = ?", row))

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
