"""The store in one SQLite file, for one machine; see `celery_inference.results.protocol` for what each method
promises."""

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

from celery_inference.results.protocol import KEEP_SECONDS, Attempts, Chord, HostCounts, Start, Submission
from celery_inference.results.rules import AttemptRecord, Lease, NewState, SubmissionClaim
from celery_inference.results.sqlite.database import Database
from celery_inference.results.sqlite.states import open_entry

FIGURES_SECONDS = 3_600.0
NO_POISON_SECONDS = 1.0  # for how long it is believed that no poison input is known: each request asks


class SQLiteStore:
    """`key_of` and `pending_of` give the backend's key for a task id, and the encoded state of a pending one."""

    def __init__(
        self, database: Database, *, key_of: Callable[[str], bytes], pending_of: Callable[[str], bytes]
    ) -> None:
        self.database = database
        self._key_of = key_of
        self._pending_of = pending_of
        self._no_poison_until = 0.0  # monotonic

    def begin_attempts(self, starts: Sequence[Start]) -> list[int]:
        """See Store."""
        now = time.time()

        def write(connection: sqlite3.Connection) -> list[int]:
            for host, count in Counter(start.host for start in starts).items():
                connection.execute("INSERT OR REPLACE INTO hosts VALUES (?, ?)", (host, now))
                _count(connection, host, started=count, now=now)
            return [_begin(connection, start, now) for start in starts]

        numbers: list[int] = self.database.write(write)
        return numbers

    def take_back_attempts(self, starts: Sequence[Start]) -> None:
        """See Store."""
        now = time.time()

        def write(connection: sqlite3.Connection) -> None:
            for start in starts:
                record = _record(connection, start)
                _keep(connection, start, record, record.taken_back(start), now)

        self.database.write(write)

    def attempts(self, requests: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], Attempts]:
        """See Store."""
        rows = self.database.read_for(
            "SELECT task_id, generation, count, hosts FROM attempts WHERE task_id IN ({marks})",
            [task_id for task_id, _ in requests],
        )
        wanted = set(requests)
        return {
            (task_id, generation): Attempts(count, tuple(json.loads(hosts)))
            for task_id, generation, count, hosts in rows
            if (task_id, generation) in wanted
        }

    def record_failures(self, host: str, count: int) -> None:
        """See Store."""
        now = time.time()
        self.database.write(lambda connection: _count(connection, host, failed=count, now=now))

    def host_counts(self, since: float) -> Mapping[str, HostCounts]:
        """See Store."""
        sql = "SELECT host, SUM(started), SUM(failed) FROM host_figures WHERE minute >= ? GROUP BY host"
        return {host: HostCounts(*counts) for host, *counts in self.database.read(sql, (int(since // 60),))}

    def hosts(self, since: float) -> set[str]:
        """See Store."""
        return {name for (name,) in self.database.read("SELECT name FROM hosts WHERE seen_at >= ?", (since,))}

    def open_generations(self, requests: Sequence[tuple[str, int]]) -> None:
        """See Store."""
        now = time.time()
        rows = [
            NewState(self._key_of(task_id), self._pending_of(task_id), False, generation, now, now + KEEP_SECONDS)
            for task_id, generation in requests
        ]

        def write(connection: sqlite3.Connection) -> None:
            for row in rows:
                open_entry(connection, row)

        self.database.write(write)

    def generations(self, task_ids: Sequence[str]) -> Mapping[str, int]:
        """See Store."""
        keys = {self._key_of(task_id): task_id for task_id in task_ids}
        rows = self.database.read_for("SELECT key, generation FROM entries WHERE key IN ({marks})", list(keys))
        return {keys[key]: generation for key, generation in rows}

    def past_outcomes(self, task_id: str) -> Mapping[int, bytes]:
        """See Store."""
        sql = "SELECT generation, value FROM past_outcomes WHERE key = ? ORDER BY generation"
        return dict(self.database.read(sql, (self._key_of(task_id),)))

    def cancel(self, task_ids: Collection[str], keep_seconds: float) -> None:
        """See Store."""
        rows = [(task_id, time.time() + keep_seconds) for task_id in task_ids]
        self.database.write(
            lambda connection: connection.executemany("INSERT OR REPLACE INTO tombstones VALUES (?, ?)", rows)
        )

    def cancelled(self, task_ids: Collection[str]) -> set[str]:
        """See Store."""
        sql = "SELECT task_id FROM tombstones WHERE task_id IN ({marks}) AND expires_at > ?"
        return {task_id for (task_id,) in self.database.read_for(sql, list(task_ids), time.time())}

    def hold(self, name: str, holder: str, seconds: float) -> bool:
        """See Store."""

        def write(connection: sqlite3.Connection) -> bool:
            now = time.time()
            row = connection.execute("SELECT holder, expires_at FROM leases WHERE name = ?", (name,)).fetchone()
            if row is not None and not Lease(*row).is_free_for(holder, now):
                return False
            connection.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?)", (name, holder, now + seconds))
            return True

        held: bool = self.database.write(write)
        return held

    def let_go(self, name: str, holder: str) -> None:
        """See Store."""
        row = (name, holder)
        self.database.write(
            lambda connection: connection.execute("DELETE FROM leases WHERE name = ? AND holder = ?", row)
        )

    def record_poison_input(self, digest: str, sentence: str, keep_seconds: float) -> None:
        """See Store."""
        row = (digest, sentence, time.time() + keep_seconds)
        self.database.write(
            lambda connection: connection.execute("INSERT OR REPLACE INTO killers VALUES (?, ?, ?)", row)
        )
        self._no_poison_until = 0.0

    def poison_inputs(self, digests: Collection[str]) -> Mapping[str, str]:
        """See Store."""
        looked = time.monotonic()
        if looked < self._no_poison_until:
            return {}
        if not self.database.read("SELECT 1 FROM killers LIMIT 1"):
            self._no_poison_until = looked + NO_POISON_SECONDS
            return {}
        sql = "SELECT digest, sentence FROM killers WHERE digest IN ({marks}) AND expires_at > ?"
        return dict(self.database.read_for(sql, list(digests), time.time()))

    def end_part(self, group_id: str, task_id: str, size: int) -> Chord:
        """See Store."""
        expires_at = time.time() + KEEP_SECONDS

        def write(connection: sqlite3.Connection) -> Chord:
            connection.execute("INSERT OR IGNORE INTO chord_parts VALUES (?, ?, ?)", (group_id, task_id, expires_at))
            if connection.execute("SELECT 1 FROM closed_chords WHERE group_id = ?", (group_id,)).fetchone():
                return Chord.CLOSED
            sql = "SELECT COUNT(*) FROM chord_parts WHERE group_id = ?"
            ended: int = connection.execute(sql, (group_id,)).fetchone()[0]
            return Chord.RUNNING if ended < size else Chord.ENDED

        chord: Chord = self.database.write(write)
        return chord

    def close_chord(self, group_id: str) -> None:
        """See Store."""
        row = (group_id, time.time() + KEEP_SECONDS)
        self.database.write(
            lambda connection: connection.execute("INSERT OR IGNORE INTO closed_chords VALUES (?, ?)", row)
        )

    def claim_submission(self, task_id: str, submitter: str, seconds: float) -> Submission:
        """See Store."""

        def write(connection: sqlite3.Connection) -> Submission:
            now = time.time()
            sql = "SELECT submitter, claimed_until, sent, expires_at FROM submissions WHERE task_id = ?"
            row = connection.execute(sql, (task_id,)).fetchone()
            found = Submission.OURS if row is None else SubmissionClaim(*row).found_by(submitter, now)
            if found is Submission.OURS:
                connection.execute(
                    "INSERT OR REPLACE INTO submissions VALUES (?, ?, ?, 0, ?)",
                    (task_id, submitter, now + seconds, now + KEEP_SECONDS),
                )
            return found

        submission: Submission = self.database.write(write)
        return submission

    def confirm_submission(self, task_id: str, keep_seconds: float) -> None:
        """See Store."""
        row = (time.time() + keep_seconds, task_id)
        sql = "UPDATE submissions SET sent = 1, expires_at = ? WHERE task_id = ?"
        self.database.write(lambda connection: connection.execute(sql, row))


def _count(connection: sqlite3.Connection, host: str, *, started: int = 0, failed: int = 0, now: float) -> None:
    connection.execute(
        "INSERT INTO host_figures VALUES (?, ?, ?, ?, ?) ON CONFLICT (host, minute) DO UPDATE"
        " SET started = started + excluded.started, failed = failed + excluded.failed",
        (host, int(now // 60), started, failed, now + FIGURES_SECONDS),
    )


def _begin(connection: sqlite3.Connection, start: Start, now: float) -> int:
    record = _record(connection, start)
    begun = record.begun(start)
    _keep(connection, start, record, begun, now)
    return len(begun.hosts)


def _record(connection: sqlite3.Connection, start: Start) -> AttemptRecord:
    row = connection.execute(
        "SELECT hosts, delivery FROM attempts WHERE task_id = ? AND generation = ?", (start.task_id, start.generation)
    ).fetchone()
    return AttemptRecord() if row is None else AttemptRecord(tuple(json.loads(row[0])), row[1])


def _keep(
    connection: sqlite3.Connection, start: Start, before: AttemptRecord, record: AttemptRecord, now: float
) -> None:
    if record != before:
        connection.execute(
            "INSERT OR REPLACE INTO attempts VALUES (?, ?, ?, ?, ?, ?)",
            (
                start.task_id,
                start.generation,
                len(record.hosts),
                record.delivery,
                json.dumps(record.hosts),
                now + KEEP_SECONDS,
            ),
        )


def forget_attempts(connection: sqlite3.Connection, task_id: str, generation: int | None) -> None:
    """Drop the attempts of a generation that has ended, and of those before; None means all."""
    connection.execute(
        "DELETE FROM attempts WHERE task_id = ? AND (generation <= ? OR ? IS NULL)", (task_id, generation, generation)
    )
