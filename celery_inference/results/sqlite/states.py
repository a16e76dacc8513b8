"""The rows of Celery's backend in the SQLite store: of one generation the first final state stays.

The functions run inside the writer's transactions.
"""

import sqlite3

from celery_inference.results.rules import NewState, StoredState, is_kept, opens, place


def put_entry(connection: sqlite3.Connection, state: NewState) -> None:
    """Store a state unless what is there stays. What an earlier generation ended in is kept for reading."""
    present = _present(connection, state)
    placed = place(present, state)
    if placed is None:
        return
    if is_kept(present, placed):
        connection.execute(
            "INSERT OR IGNORE INTO past_outcomes SELECT key, generation, value, expires_at FROM entries WHERE key = ?",
            (state.key,),
        )
    connection.execute(
        "INSERT OR REPLACE INTO entries (key, value, final, expires_at, generation) VALUES (?, ?, ?, ?, ?)",
        (state.key, state.value, state.final, state.expires_at, placed.generation),
    )


def open_entry(connection: sqlite3.Connection, state: NewState) -> None:
    """Begin a generation, if it has not been reached."""
    if opens(_present(connection, state), state.generation or 0):
        put_entry(connection, state)


def _present(connection: sqlite3.Connection, state: NewState) -> StoredState | None:
    row = connection.execute(
        "SELECT generation, final FROM entries WHERE key = ? AND (expires_at IS NULL OR expires_at >= ?)",
        (state.key, state.now),
    ).fetchone()
    return None if row is None else StoredState(int(row[0]), bool(row[1]))
