"""What a store of an earlier version wrote is read: files of SQLite's version 4, and DynamoDB's items as they were."""

import json
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from celery_inference.results.dynamodb.backend import DynamoDBBackend
from celery_inference.results.protocol import Attempts, Chord, HostCounts, Start, Submission
from celery_inference.results.sqlite.backend import SQLiteBackend
from celery_inference.sqs.dead_letters.entry import State
from celery_inference.sqs.dead_letters.index import LanePause, Selection
from tests.support.moto_dynamodb import MotoDynamoDB
from tests.support.stores import app_of, moto

__all__ = ["moto"]

NOW = time.time()
LATER = NOW + 86_400.0
MINUTE = int(NOW // 60)
# The schema of version 4, as it was in files.
SCHEMA = """
CREATE TABLE entries (
    key BLOB PRIMARY KEY, value BLOB NOT NULL, final INTEGER NOT NULL, expires_at REAL,
    generation INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX entries_by_expiry ON entries (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE past_outcomes (
    key BLOB NOT NULL, generation INTEGER NOT NULL, value BLOB NOT NULL, expires_at REAL, PRIMARY KEY (key, generation)
) WITHOUT ROWID;
CREATE TABLE attempts (
    task_id TEXT NOT NULL, generation INTEGER NOT NULL, count INTEGER NOT NULL, delivery TEXT NOT NULL,
    hosts TEXT NOT NULL, expires_at REAL, PRIMARY KEY (task_id, generation)
) WITHOUT ROWID;
CREATE TABLE hosts (name TEXT PRIMARY KEY, seen_at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE tombstones (task_id TEXT PRIMARY KEY, expires_at REAL) WITHOUT ROWID;
CREATE TABLE leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, expires_at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE killers (digest TEXT PRIMARY KEY, sentence TEXT NOT NULL, expires_at REAL) WITHOUT ROWID;
CREATE TABLE chord_parts (
    group_id TEXT NOT NULL, task_id TEXT NOT NULL, expires_at REAL, PRIMARY KEY (group_id, task_id)
) WITHOUT ROWID;
CREATE TABLE closed_chords (group_id TEXT PRIMARY KEY, expires_at REAL) WITHOUT ROWID;
CREATE TABLE submissions (
    task_id TEXT PRIMARY KEY, submitter TEXT NOT NULL, claimed_until REAL NOT NULL, sent INTEGER NOT NULL,
    expires_at REAL
) WITHOUT ROWID;
CREATE TABLE letters (
    id TEXT NOT NULL, lane TEXT NOT NULL, message_id TEXT NOT NULL, task_id TEXT, task TEXT, model TEXT,
    generation INTEGER NOT NULL, cause TEXT NOT NULL, error_type TEXT NOT NULL, error TEXT NOT NULL,
    attempts INTEGER NOT NULL, worker TEXT, revision TEXT, failed_at REAL NOT NULL, expires_at REAL NOT NULL,
    body_bytes INTEGER NOT NULL, buried INTEGER NOT NULL, state TEXT NOT NULL, to_lane TEXT, to_task TEXT,
    PRIMARY KEY (lane, id)
) WITHOUT ROWID;
CREATE INDEX letters_by_time ON letters (lane, failed_at, id);
CREATE INDEX letters_by_task ON letters (task_id);
CREATE TABLE stops (lane TEXT PRIMARY KEY, since REAL NOT NULL, by TEXT NOT NULL, why TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE host_figures (
    host TEXT NOT NULL, minute INTEGER NOT NULL, started INTEGER NOT NULL, failed INTEGER NOT NULL, expires_at REAL,
    PRIMARY KEY (host, minute)
) WITHOUT ROWID;
PRAGMA user_version = 4;
"""


def value(result: Any, status: str = "SUCCESS") -> bytes:
    return json.dumps({"status": status, "result": result, "traceback": None, "children": []}).encode()


def letter(id_: str, failed_at: float, state: str) -> dict[str, Any]:
    return {
        "message_id": f"m-{id_}",
        "task_id": f"task-{id_}",
        "task": "feature_extraction",
        "model": "tiny",
        "generation": 1,
        "cause": "attempts-used-up",
        "error_type": "ModelError",
        "error": "it failed",
        "attempts": 3,
        "worker": "host",
        "revision": "abc",
        "failed_at": failed_at,
        "expires_at": LATER,
        "body_bytes": 100,
        "buried": 1,
        "state": state,
    }


LETTERS = (("one.1", NOW - 60.5, "waiting"), ("two.2", NOW - 30.25, "redriven"))


def make_sqlite(path: Path) -> None:
    """A file as a program of version 4 left it."""
    rows: dict[str, list[tuple[Any, ...]]] = {
        "entries": [
            (b"celery-task-meta-done", value(5), 1, LATER, 0),
            (b"celery-task-meta-again", value(None, "PENDING"), 0, LATER, 1),
            (b"celery-task-meta-over", value(1), 1, NOW - 60, 0),
            (b"celery-taskset-meta-group", b'{"result": 7}', 0, None, 0),
        ],
        "past_outcomes": [(b"celery-task-meta-again", 0, value("bad", "FAILURE"), LATER)],
        "attempts": [
            ("busy", 0, 2, "m.2", json.dumps(["one", "two"]), LATER),
            ("again", 1, 1, "m.3", json.dumps(["one"]), LATER),
        ],
        "hosts": [("one", NOW), ("two", NOW)],
        "tombstones": [("cancelled", LATER)],
        "leases": [("sweep", "one", LATER)],
        "killers": [("digest", "it ended the process", LATER)],
        "chord_parts": [("chord", "a", LATER), ("closed", "b", LATER)],
        "closed_chords": [("closed", LATER)],
        "submissions": [("sent", "me", NOW, 1, LATER), ("sending", "me", LATER, 0, LATER)],
        "stops": [("gpu", NOW - 5, "one", "too much failed")],
        "host_figures": [("one", MINUTE, 3, 1, LATER), ("two", MINUTE, 2, 0, LATER)],
    }
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.executescript(SCHEMA)
    for table, some in rows.items():
        connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(some[0]))})", some)
    for id_, failed_at, state in LETTERS:
        row = {"id": id_, "lane": "gpu", **letter(id_, failed_at, state)}
        names = ", ".join(row)
        marks = ", ".join("?" * len(row))
        connection.execute(f"INSERT INTO letters ({names}) VALUES ({marks})", tuple(row.values()))
    connection.close()


def old_items() -> list[dict[str, Any]]:
    """The same in a table of DynamoDB's, as the earlier program put it there."""

    def text(given: str) -> dict[str, str]:
        return {"S": given}

    def number(given: float) -> dict[str, str]:
        return {"N": repr(given)}

    def item(id_: str, part: str = "-", ttl: float | None = LATER, **attributes: Any) -> dict[str, Any]:
        expiry = {} if ttl is None else {"ttl": number(int(ttl))}
        return {"id": text(id_), "part": text(part), **expiry, **attributes}

    def state(given: bytes, *, final: bool, generation: int) -> dict[str, Any]:
        return {"value": {"B": b"\x00" + given}, "final": {"BOOL": final}, "generation": number(generation)}

    def entry(id_: str, failed_at: float, state_: str) -> dict[str, Any]:
        fields = letter(id_, failed_at, state_) | {"buried": True}
        typed = {
            name: {"BOOL": given} if given is True else text(given) if isinstance(given, str) else number(given)
            for name, given in fields.items()
        }
        return item("letters#gpu", id_, at=text(f"{failed_at:017.6f} {id_}"), **typed)

    again = state(value(None, "PENDING"), final=False, generation=1) | {"attempts-1": text('["m.3","one"]')}
    return [
        item("celery-task-meta-done", **state(value(5), final=True, generation=0)),
        item("celery-task-meta-again", **again),
        item("celery-task-meta-over", ttl=NOW - 60, **state(value(1), final=True, generation=0)),
        item("celery-taskset-meta-group", ttl=None, value={"B": b'\x00{"result": 7}'}),
        item("celery-task-meta-again", "past#0000000", value={"B": b"\x00" + value("bad", "FAILURE")}),
        item("celery-task-meta-busy", **{"attempts-0": text('["m.2","one","two"]')}),
        item("cancelled#cancelled"),
        item("lease#sweep", holder=text("one"), until=number(LATER)),
        item("killers", "digest", sentence=text("it ended the process")),
        item("parts#chord", "a"),
        item("chord#chord", told=number(1)),
        item("parts#closed", "b"),
        item("chord#closed", told=number(1), closed={"BOOL": True}),
        item("submission#sent", submitter=text("me"), until=number(NOW), sent={"BOOL": True}),
        item("submission#sending", submitter=text("me"), until=number(LATER), sent={"BOOL": False}),
        item("hosts", f"{MINUTE:010}#one", started=number(3), failed=number(1)),
        item("hosts", f"{MINUTE:010}#two", started=number(2), failed=number(0)),
        *(entry(*each) for each in LETTERS),
        item("lanes", "gpu", ttl=None),
        item("stops", "gpu", ttl=None, since=number(NOW - 5), by=text("one"), why=text("too much failed")),
    ]


@pytest.fixture(params=["sqlite", "dynamodb"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "sqlite":
        make_sqlite(tmp_path / "results.sqlite")
        return SQLiteBackend(app=app_of("old"), url=f"sqlite:///{tmp_path / 'results.sqlite'}")
    server: MotoDynamoDB = request.getfixturevalue("moto")
    made = DynamoDBBackend(app=app_of("old"), url=server.url(f"old-{tmp_path.name}"))
    made.store.cancelled(["a"])  # makes the table
    for item in old_items():
        made.table.client.put_item(TableName=made.table.place.table, Item=item)
    return made


def test_states_and_attempts_of_an_earlier_version_are_read_and_kept(backend: Any) -> None:
    store = backend.store
    assert backend.get_result("done") == 5
    backend.store_result("done", "later", "SUCCESS")
    backend._cache.clear()
    assert backend.get_result("done") == 5, "the first outcome stays"
    assert (backend.get_state("again"), backend.get_state("over")) == ("PENDING", "PENDING")
    assert json.loads(backend.get(b"celery-taskset-meta-group")) == {"result": 7}
    assert store.generations(["done", "again", "busy", "over"]) == {"done": 0, "again": 1}
    assert json.loads(store.past_outcomes("again")[0])["status"] == "FAILURE"
    assert store.attempts([("busy", 0), ("again", 1)]) == {
        ("busy", 0): Attempts(2, ("one", "two")),
        ("again", 1): Attempts(1, ("one",)),
    }
    assert store.begin_attempts([Start("busy", 0, "m.2", "two"), Start("again", 1, "m.4", "two")]) == [2, 2]
    backend.store_result("busy", 1, "SUCCESS")
    assert (backend.get_result("busy"), store.attempts([("busy", 0)])) == (1, {})


def test_what_was_remembered_beside_the_states_is_read(backend: Any) -> None:
    store = backend.store
    assert store.cancelled(["cancelled", "done"]) == {"cancelled"}
    assert (store.hold("sweep", "two", 60), store.hold("sweep", "one", 60)) == (False, True)
    assert store.poison_inputs(["digest", "other"]) == {"digest": "it ended the process"}
    assert store.end_part("closed", "b", 1) is Chord.CLOSED
    assert [store.end_part("chord", part, 3) for part in ("a", "b", "c")] == [Chord.RUNNING, Chord.RUNNING, Chord.ENDED]
    assert store.claim_submission("sent", "you", 60) is Submission.SENT
    assert store.claim_submission("sending", "you", 60) is Submission.ANOTHERS
    assert store.hosts(NOW - 60) == {"one", "two"}
    assert store.host_counts(NOW - 60) == {"one": HostCounts(3, 1), "two": HostCounts(2, 0)}


def test_dead_letters_and_paused_lanes_are_read(backend: Any) -> None:
    index = backend.dead_letters
    (waiting,) = index.page(Selection()).entries
    expected = {"id": "one.1", "lane": "gpu"} | letter("one.1", NOW - 60.5, "waiting") | {"buried": True}
    assert {name: getattr(waiting, name) for name in expected} == expected
    assert set(index.known("gpu", ["one.1", "two.2", "three"])) == {"one.1", "two.2"}
    assert [entry.state for entry in index.find("task-two.2")] == [State.REDRIVEN]
    assert (index.count(Selection()), index.count(Selection(state=frozenset(State)))) == (1, 2)
    (group,) = index.groups()
    assert (group.lane, group.count, group.error) == ("gpu", 1, "it failed")
    assert index.pauses() == [LanePause("gpu", NOW - 5, "one", "too much failed")]
    assert index.resume("gpu")


def test_a_file_that_an_older_program_has_open_is_moved_once_by_many_and_takes_no_more_of_it(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    make_sqlite(path)
    older = sqlite3.connect(path, isolation_level=None)
    write = "INSERT OR REPLACE INTO entries (key, value, final, expires_at, generation) VALUES (?, ?, 1, NULL, 0)"
    older.execute(write, (b"celery-task-meta-last", value("last")))
    with ThreadPoolExecutor(6) as pool:
        backends = [SQLiteBackend(app=app_of("new"), url=f"sqlite:///{path}") for _ in range(6)]
        assert list(pool.map(lambda backend: backend.get_result("last"), backends)) == ["last"] * 6
    # An error of the class that its store takes for "away": its worker holds the result, and its message stays.
    with pytest.raises(sqlite3.OperationalError, match="no such table: entries"):
        older.execute(write, (b"celery-task-meta-lost", value("lost")))
    older.close()
