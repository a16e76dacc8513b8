"""The tables of the SQLite store, as steps from one version to the next.

A step is applied once, in order, and is never changed afterwards, and all that a file lacks are one transaction. Times
are seconds since the epoch.

The last step moves what the tables of the steps before held, and drops them: a program of an older version that shares
the file finds no table then. It takes the store for one that is away, so that its worker holds its results, and gives
their messages back when it ends; nothing is written that a newer program would miss.
"""

import sqlite3
from collections.abc import Callable

from celery_inference.results.sqlite.migration import move_to_items

OUTCOMES = (
    # Of Celery's backend. `final` entries are replaced by nothing of the same generation, others by whatever follows.
    """CREATE TABLE IF NOT EXISTS entries (
        key BLOB PRIMARY KEY, value BLOB NOT NULL, final INTEGER NOT NULL, expires_at REAL
    ) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS entries_by_expiry ON entries (expires_at) WHERE expires_at IS NOT NULL",
)
REQUESTS = (
    "ALTER TABLE entries ADD COLUMN generation INTEGER NOT NULL DEFAULT 0",
    """CREATE TABLE past_outcomes (
        key BLOB NOT NULL, generation INTEGER NOT NULL, value BLOB NOT NULL, expires_at REAL,
        PRIMARY KEY (key, generation)
    ) WITHOUT ROWID""",
    # `hosts`: the host of each attempt, a JSON list. `delivery`: the one that began the last attempt.
    """CREATE TABLE attempts (
        task_id TEXT NOT NULL, generation INTEGER NOT NULL, count INTEGER NOT NULL, delivery TEXT NOT NULL,
        hosts TEXT NOT NULL, expires_at REAL,
        PRIMARY KEY (task_id, generation)
    ) WITHOUT ROWID""",
    "CREATE TABLE hosts (name TEXT PRIMARY KEY, seen_at REAL NOT NULL) WITHOUT ROWID",
    "CREATE TABLE tombstones (task_id TEXT PRIMARY KEY, expires_at REAL) WITHOUT ROWID",
    "CREATE TABLE leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, expires_at REAL NOT NULL) WITHOUT ROWID",
    "CREATE TABLE killers (digest TEXT PRIMARY KEY, sentence TEXT NOT NULL, expires_at REAL) WITHOUT ROWID",
    """CREATE TABLE chord_parts (
        group_id TEXT NOT NULL, task_id TEXT NOT NULL, expires_at REAL,
        PRIMARY KEY (group_id, task_id)
    ) WITHOUT ROWID""",
    "CREATE TABLE closed_chords (group_id TEXT PRIMARY KEY, expires_at REAL) WITHOUT ROWID",
    """CREATE TABLE submissions (
        task_id TEXT PRIMARY KEY, submitter TEXT NOT NULL, claimed_until REAL NOT NULL, sent INTEGER NOT NULL,
        expires_at REAL
    ) WITHOUT ROWID""",
)
LETTERS = (
    # The index of dead letters; `state` tells those in the queue from those that are gone, which are remembered because
    # SQS may still hold copies of them.
    """CREATE TABLE letters (
        id TEXT NOT NULL, lane TEXT NOT NULL, message_id TEXT NOT NULL, task_id TEXT, task TEXT, model TEXT,
        generation INTEGER NOT NULL, cause TEXT NOT NULL, error_type TEXT NOT NULL, error TEXT NOT NULL,
        attempts INTEGER NOT NULL, worker TEXT, revision TEXT, failed_at REAL NOT NULL, expires_at REAL NOT NULL,
        body_bytes INTEGER NOT NULL, buried INTEGER NOT NULL, state TEXT NOT NULL, to_lane TEXT, to_task TEXT,
        PRIMARY KEY (lane, id)
    ) WITHOUT ROWID""",
    "CREATE INDEX letters_by_time ON letters (lane, failed_at, id)",
    "CREATE INDEX letters_by_task ON letters (task_id)",
    # Lanes whose consumption was stopped.
    """CREATE TABLE stops (
        lane TEXT PRIMARY KEY, since REAL NOT NULL, by TEXT NOT NULL, why TEXT NOT NULL
    ) WITHOUT ROWID""",
)
HOSTS = (
    # Attempts that each host has begun, and those that failed by no fault of their request, by minutes of the epoch.
    """CREATE TABLE host_figures (
        host TEXT NOT NULL, minute INTEGER NOT NULL, started INTEGER NOT NULL, failed INTEGER NOT NULL, expires_at REAL,
        PRIMARY KEY (host, minute)
    ) WITHOUT ROWID""",
)
# Everything, as `celery_inference.results.items` has it. What the tables before hold is moved into it.
ITEMS = (
    """CREATE TABLE items (
        id TEXT NOT NULL, part TEXT NOT NULL, at TEXT, state TEXT, ttl REAL, rest TEXT NOT NULL, value BLOB,
        PRIMARY KEY (id, part)
    ) WITHOUT ROWID""",
    "CREATE INDEX items_by_time ON items (id, at) WHERE at IS NOT NULL",
    "CREATE INDEX items_by_state ON items (id, state) WHERE state IS NOT NULL",
    "CREATE INDEX items_by_ttl ON items (ttl) WHERE ttl IS NOT NULL",
    move_to_items,
)

Statement = str | Callable[[sqlite3.Connection], None]
STEPS: tuple[tuple[Statement, ...], ...] = (OUTCOMES, REQUESTS, LETTERS, HOSTS, ITEMS)


def upgrade(connection: sqlite3.Connection) -> None:
    """Bring a file to this program's version; nothing happens to one of a newer version.

    Raises:
        sqlite3.Error: the file is as it was.
    """
    if _version(connection) >= len(STEPS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in STEPS[_version(connection) :]:
            for statement in step:
                if callable(statement):
                    statement(connection)
                else:
                    connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {max(len(STEPS), _version(connection))}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def delete_expired(connection: sqlite3.Connection, now: float, most: int) -> int:
    """Delete so many of the items that have expired, in one transaction; returns how many."""
    chosen = "SELECT id, part FROM items WHERE ttl < ? LIMIT ?"
    return connection.execute(f"DELETE FROM items WHERE (id, part) IN ({chosen})", (now, most)).rowcount  # noqa: S608


def give_room_back(connection: sqlite3.Connection, most_pages: int) -> int:
    """Shorten the file by so many pages that hold nothing; returns how many, 0 for a file of an earlier version."""
    before = _free_pages(connection)
    # Not `execute`, which ends this statement after its first page, as it has no columns.
    connection.executescript(f"PRAGMA incremental_vacuum({most_pages})")
    return before - _free_pages(connection)


def _free_pages(connection: sqlite3.Connection) -> int:
    count: int = connection.execute("PRAGMA freelist_count").fetchone()[0]
    return count


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version
