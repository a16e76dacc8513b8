"""The tables of the SQLite store, as steps from one version to the next.

A step is applied once, in order, and is never changed afterwards; steps only add, so that a program of an older
version goes on with a file that a newer one has opened. Times are seconds since the epoch.
"""

import sqlite3

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
EXPIRING = (
    "entries",
    "past_outcomes",
    "attempts",
    "tombstones",
    "killers",
    "chord_parts",
    "closed_chords",
    "submissions",
    "letters",
    "host_figures",
)

STEPS: tuple[tuple[str, ...], ...] = (OUTCOMES, REQUESTS, LETTERS, HOSTS)


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
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {max(len(STEPS), _version(connection))}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def delete_expired(connection: sqlite3.Connection, now: float) -> None:
    """Delete what has expired."""
    for table in EXPIRING:
        connection.execute(f"DELETE FROM {table} WHERE expires_at < ?", (now,))  # noqa: S608 - names of ours


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version
