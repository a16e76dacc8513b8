"""The rows of Celery's backend in the SQLite store: of one generation the first final state stays.

The functions run inside the writer's transactions.
"""

import sqlite3
from dataclasses import dataclass

INCREMENT = """
INSERT INTO entries (key, value, final, expires_at) VALUES (?, 1, 0, ?)
ON CONFLICT (key) DO UPDATE SET value = CAST(entries.value AS INTEGER) + 1
RETURNING CAST(value AS INTEGER)
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A state to be stored. No generation means whichever is the present one."""

    key: bytes
    value: bytes
    final: bool
    generation: int | None
    now: float
    expires_at: float | None


def put_entry(connection: sqlite3.Connection, entry: Entry) -> bool:
    """Store a state unless a later generation, or a final state of this one, is there; whether it was stored.

    What an earlier generation ended in is kept for reading.
    """
    generation = entry.generation
    present = _present(connection, entry)
    if present is not None:
        found, was_final = present
        generation = found if generation is None else generation
        if found > generation or (found == generation and was_final):
            return False
        if found < generation and was_final:
            _archive(connection, entry.key)
    connection.execute(
        "INSERT OR REPLACE INTO entries (key, value, final, expires_at, generation) VALUES (?, ?, ?, ?, ?)",
        (entry.key, entry.value, entry.final, entry.expires_at, generation or 0),
    )
    return True


def open_entry(connection: sqlite3.Connection, entry: Entry) -> None:
    """Begin a generation, if it has not been reached."""
    present = _present(connection, entry)
    if present is None or present[0] < (entry.generation or 0):
        put_entry(connection, entry)


def _present(connection: sqlite3.Connection, entry: Entry) -> tuple[int, bool] | None:
    row = connection.execute(
        "SELECT generation, final FROM entries WHERE key = ? AND (expires_at IS NULL OR expires_at >= ?)",
        (entry.key, entry.now),
    ).fetchone()
    return None if row is None else (int(row[0]), bool(row[1]))


def _archive(connection: sqlite3.Connection, key: bytes) -> None:
    connection.execute(
        "INSERT OR IGNORE INTO past_outcomes SELECT key, generation, value, expires_at FROM entries WHERE key = ?",
        (key,),
    )
