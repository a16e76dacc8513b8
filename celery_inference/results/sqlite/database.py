"""One SQLite file, shared by the threads and processes of a machine.

A read borrows a connection; one thread writes: it commits the writes of all others, as many as are waiting in one
transaction.
"""

import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Self

from celery_inference.results.protocol import StoreUnavailable
from celery_inference.results.sqlite.schema import delete_expired, give_room_back, upgrade

BUSY_TIMEOUT_SECONDS = 30.0
READERS = 4  # connections that are kept for the next read; reads are so short that few are ever needed at once
SWEEP_SECONDS = 600.0
SLICE_ITEMS = 500  # that expired, deleted in one transaction: some 20 ms, in which others wait
SLICE_PAGES = 1_000  # of 4 KiB, given back to the file system with them
WAL_BYTES = 16 * 1024 * 1024  # the write-ahead log is cut to this after a checkpoint

Write = Callable[[sqlite3.Connection], Any]
_MAKING = threading.Lock()  # no connection to a new file is opened before its descriptor is closed


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
    """A connection in WAL mode, where readers and the writer do not wait for each other; makes the file.

    Raises:
        sqlite3.Error, OSError: the file cannot be opened, or is none of SQLite's.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _make_private(path)
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # of a new file; nothing happens to others
    _use_wal(connection)
    connection.execute(f"PRAGMA journal_size_limit={WAL_BYTES}")
    # In WAL mode NORMAL loses the last commits at a power cut, and a lost result would be a lost outcome.
    connection.execute("PRAGMA synchronous=FULL")
    upgrade(connection)
    return connection


def _make_private(path: Path) -> None:
    """Make the file, for its owner alone, if there is none: results are personal data.

    SQLite makes its other files with the mode of this one. A file that is there is never opened here: to close it
    would end the locks of all of this process's connections to it (POSIX), so that another process takes itself for
    the last one and deletes the write-ahead log that this one goes on writing to.
    """
    with _MAKING, suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _use_wal(connection: sqlite3.Connection) -> None:
    """Where two open a new file at once, SQLite tells one of them that it is locked, without its timeout."""
    until = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def _without_cursor(result: Any) -> Any:
    """A cursor that another thread lets go of resets its statement, which this thread may be using again by then."""
    return None if isinstance(result, sqlite3.Cursor) else result


def _unavailable(path: Path, error: Exception) -> Exception:
    """What callers are told: statements that are wrong stay as they are, trouble with the file becomes one class."""
    if isinstance(error, sqlite3.OperationalError | OSError) or type(error) is sqlite3.DatabaseError:
        unavailable = StoreUnavailable(f"{path}: {error}")
        unavailable.__cause__ = error  # also where another thread raises it
        return unavailable
    return error


class Database:
    """The file at a path. All methods may be called from any thread, and after a fork."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._begin()

    def _begin(self) -> None:
        """What one process opens, and a fork of it must open anew."""
        self._process = os.getpid()
        self._readers: deque[tuple[sqlite3.Connection, Inode]] = deque(maxlen=READERS)
        self._lock = threading.Lock()
        self._writer: Writer | None = None

    def read(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """The rows of a SELECT.

        Raises:
            StoreUnavailable: the file cannot be read.
        """
        if self._process != os.getpid():
            self._begin()
        try:
            connection, opened = self._reader()
            rows: list[tuple[Any, ...]] = connection.execute(sql, parameters).fetchall()
        except (sqlite3.Error, OSError) as error:
            raise _unavailable(self.path, error) from error
        self._readers.append((connection, opened))
        return rows

    def _reader(self) -> tuple[sqlite3.Connection, Inode]:
        """A connection that no other thread reads with now, to the file that is at the path."""
        while True:
            try:
                connection, opened = self._readers.pop()
            except IndexError:
                return connect(self.path), Inode.of(self.path)
            if opened.is_still(self.path):
                return connection, opened

    def write(self, operation: Write) -> Any:
        """Run the operation inside a transaction; returns, with its result, when it is on disk.

        Raises:
            StoreUnavailable: nothing was written.
        """
        return self.write_soon(operation).result()

    def write_soon(self, operation: Write) -> "Future[Any]":
        """As `write`, without waiting: the future has its result, or its error."""
        if self._process != os.getpid():
            self._begin()
        with self._lock:
            if self._writer is None:
                self._writer = Writer(self.path)
            return self._writer.put(operation)


class Writer:
    """One thread that commits the writes of all others."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: SimpleQueue[tuple[Write, Future[Any]]] = SimpleQueue()
        self._expired_deleted_at = time.monotonic()
        self._connection: sqlite3.Connection | None = None
        self._opened = Inode(0, 0)
        threading.Thread(target=self._run, name="result-writer", daemon=True).start()

    def put(self, operation: Write) -> "Future[Any]":
        """Take an operation; the future is resolved when it is on disk, or has failed."""
        future: Future[Any] = Future()
        self._waiting.put((operation, future))
        return future

    def _run(self) -> None:
        while True:
            batch = [self._first()]
            while not self._waiting.empty():
                batch.append(self._waiting.get())
            error = self._settle(batch)
            self._sweep()
            if error is None:
                continue
            alone = len(batch) > 1 and _unavailable(self._path, error) is error
            for operation, future in batch:
                # One wrong operation must not cost its neighbours their writes.
                own = self._settle([(operation, future)]) if alone else error
                if own is not None:
                    future.set_exception(_unavailable(self._path, own))

    def _first(self) -> "tuple[Write, Future[Any]]":
        """What is to be written next; until there is something, what has expired is deleted, a slice at a time."""
        while self._connection is not None and self._is_sweep_due():
            try:
                return self._waiting.get_nowait()
            except Empty:
                self._sweep()
        return self._waiting.get()

    def _is_sweep_due(self) -> bool:
        return time.monotonic() - self._expired_deleted_at > SWEEP_SECONDS

    def _sweep(self) -> None:
        """Delete one slice of what has expired, if that is due; the last one ends it for `SWEEP_SECONDS`."""
        if self._connection is None or not self._is_sweep_due():
            return
        try:
            deleted = delete_expired(self._connection, time.time(), SLICE_ITEMS)
            whole = give_room_back(self._connection, SLICE_PAGES) < SLICE_PAGES and deleted < SLICE_ITEMS
        except sqlite3.Error:
            whole = True  # the next one tries it again; writes say what is wrong
        if whole:
            self._expired_deleted_at = time.monotonic()

    def _settle(self, batch: "list[tuple[Write, Future[Any]]]") -> Exception | None:
        try:
            if self._connection is None or not self._opened.is_still(self._path):
                self._connection = connect(self._path)
                self._opened = Inode.of(self._path)
            results = self._commit(self._connection, [operation for operation, _ in batch])
        except Exception as error:
            self._connection = None
            return error
        for (_, future), result in zip(batch, results, strict=True):
            future.set_result(result)
        return None

    def _commit(self, connection: sqlite3.Connection, operations: list[Write]) -> list[Any]:
        connection.execute("BEGIN IMMEDIATE")
        try:
            results = [_without_cursor(operation(connection)) for operation in operations]
            connection.execute("COMMIT")
        except Exception:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        return results
