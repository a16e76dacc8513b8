"""The SQLite file of the store: opened by many at once, and read with few connections."""

import sqlite3
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from celery_inference.results.sqlite import database
from celery_inference.results.sqlite.database import READERS, Database, connect
from celery_inference.results.sqlite.schema import delete_expired
from celery_inference.results.sqlite.table import SQLiteTable
from celery_inference.results.store import poison_inputs
from celery_inference.results.store.store import ResultStore


def test_a_new_file_is_opened_by_many_at_once(tmp_path: Path) -> None:
    # Without patience one opening in twenty is told that the file is locked.
    with ThreadPoolExecutor(4) as pool:
        for number in range(40):
            barrier = threading.Barrier(4)

            def opened(path: Path, together: threading.Barrier) -> str:
                together.wait()
                mode: str = connect(path).execute("PRAGMA journal_mode").fetchone()[0]
                return mode

            modes = pool.map(opened, [tmp_path / f"{number}.sqlite"] * 4, [barrier] * 4)
            assert list(modes) == ["wal"] * 4


def test_a_hundred_threads_read_with_few_connections(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    store, opened = Database(tmp_path / "store.sqlite"), []
    monkeypatch.setattr(database, "connect", lambda path: opened.append(path) or connect(path))
    for _ in range(100):
        thread = threading.Thread(target=lambda: store.read("SELECT 1"))
        thread.start()
        thread.join()
    assert len(opened) == 1
    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(lambda _: store.read("SELECT 1"), range(200))) == [[(1,)]] * 200
    assert len(store._readers) <= READERS


def test_a_killer_is_known_at_once_here_and_within_a_second_to_others(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    clock = [100.0]
    monkeypatch.setattr(poison_inputs, "time", SimpleNamespace(monotonic=lambda: clock[0], time=time.time))
    here, there = (
        ResultStore(SQLiteTable(tmp_path / "s.sqlite"), key_of=str.encode, pending_of=str.encode) for _ in range(2)
    )
    assert here.poison_inputs(["a"]) == there.poison_inputs(["a"]) == {}
    here.record_poison_input("a", "it ended the process", 60.0)
    assert here.poison_inputs(["a", "b"]) == {"a": "it ended the process"}
    clock[0] += 1.0
    assert there.poison_inputs(["a", "b"]) == {"a": "it ended the process"}


def test_a_file_that_was_replaced_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    store = Database(path)
    store.write(lambda connection: connection.execute("INSERT INTO items (id, part, rest) VALUES ('a', '-', '{}')"))
    assert store.read("SELECT id FROM items") == [("a",)]
    for file in tmp_path.iterdir():
        file.unlink()
    assert store.read("SELECT id FROM items") == []


def test_a_new_file_is_its_owner_s_alone_and_one_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    new, shared = tmp_path / "new.sqlite", tmp_path / "shared.sqlite"
    shared.touch()
    shared.chmod(0o660)
    for path, mode in ((new, 0o600), (shared, 0o660)):
        Database(path).write(lambda connection: connection.execute("SELECT 1"))
        made = [file for file in tmp_path.iterdir() if file.name.startswith(path.name)]
        assert len(made) == 3, "the file, its log and its index"
        assert {stat.S_IMODE(file.stat().st_mode) for file in made} == {mode}


def test_what_expires_together_goes_in_slices_and_gives_its_room_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "SWEEP_SECONDS", 0.05)
    monkeypatch.setattr(database, "WAL_BYTES", 64 * 1024)
    slices: list[int] = []

    def delete(connection: sqlite3.Connection, now: float, most: int) -> int:
        slices.append(delete_expired(connection, now, most))
        return slices[-1]

    path, count = tmp_path / "results.sqlite", 5_000
    table = SQLiteTable(path)
    table.put([{"id": f"task{number}", "part": "-", "value": b"x" * 1_000, "ttl": 1} for number in range(count)])
    table.put([{"id": "stays", "part": "-", "value": b"x"}])
    grown = path.stat().st_size + path.with_name("results.sqlite-wal").stat().st_size
    monkeypatch.setattr(database, "delete_expired", delete)
    table.put([{"id": "first", "part": "-", "value": b"x"}])
    until = time.monotonic() + 60
    read = table.database.read
    while read("SELECT COUNT(*) FROM items") != [(2,)] or read("PRAGMA freelist_count")[0][0] > 10:
        assert time.monotonic() < until, "it is not deleted where nothing else is written"
        time.sleep(0.01)
    assert max(slices) <= database.SLICE_ITEMS
    monkeypatch.setattr(database, "SWEEP_SECONDS", 600.0)
    sqlite3.connect(path).execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert path.stat().st_size < grown / 5


ANOTHER = """
import sys
from pathlib import Path
from celery_inference.results.sqlite.database import connect
connection = connect(Path(sys.argv[1]))
print(connection.execute("SELECT COUNT(*) FROM items").fetchone()[0])
connection.close()
"""


def test_what_is_written_while_other_processes_come_and_go_is_seen_by_the_next(tmp_path: Path) -> None:
    """Each of them would delete the write-ahead log of a process whose locks are gone."""
    path = tmp_path / "store.sqlite"
    table = SQLiteTable(path)
    for number in range(1, 4):
        table.put([{"id": f"task-{number}", "part": "-"}])
        connect(path).close()  # another thread's, which must not cost the writer its locks
        seen = subprocess.run([sys.executable, "-c", ANOTHER, path], capture_output=True, text=True, timeout=60)
        assert seen.stdout.strip() == str(number), seen.stderr
