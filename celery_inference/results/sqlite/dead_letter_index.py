"""The index of dead letters in SQLite, beside the results."""

import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from celery_inference.results.sqlite.store import SQLiteStore
from celery_inference.sqs.dead_letters.entry import GONE, Entry, State
from celery_inference.sqs.dead_letters.index import Group, LanePause, Marking, Page, Selection
from celery_inference.sqs.messages.reason import Cause

_COLUMNS = tuple(field.name for field in dataclasses.fields(Entry))
_LIST = ", ".join(_COLUMNS)
_INSERT = f"INSERT INTO letters ({_LIST}) VALUES ({', '.join(f':{name}' for name in _COLUMNS)})"  # noqa: S608
_TAKE_UP = f"{_INSERT} ON CONFLICT DO NOTHING"
_TAKE_UP_AGAIN = (
    f"{_INSERT} ON CONFLICT DO UPDATE SET state = excluded.state, to_lane = NULL, to_task = NULL,"
    " failed_at = excluded.failed_at, expires_at = excluded.expires_at"
)
_SELECT = f"SELECT {_LIST} FROM letters"  # noqa: S608 - names of our own columns

_ANY = "(SELECT value FROM json_each(?))"


class SQLiteDeadLetterIndex:
    """See celery_inference.sqs.dead_letters.index.DeadLetterIndex for what each method promises."""

    look_seconds = 2.0

    def __init__(self, store: SQLiteStore) -> None:
        self._database = store.database
        self.open_generations = store.open_generations
        self.hold = store.hold
        self.let_go = store.let_go

    def add(self, entries: Sequence[Entry], *, again: bool = False) -> None:
        """Take up letters that were not known; `again` also those that were gone."""
        rows = [dataclasses.asdict(entry) for entry in entries]
        sql = _TAKE_UP_AGAIN if again else _TAKE_UP
        if rows:
            self._database.write(lambda connection: connection.executemany(sql, rows))

    def known(self, lane: str, ids: Sequence[str]) -> Mapping[str, Entry]:
        """Those of the letters that the index knows, gone ones included, by id."""
        rows = self._database.read(f"{_SELECT} WHERE lane = ? AND id IN {_ANY}", (lane, json.dumps(list(ids))))
        return {entry.id: entry for entry in map(_entry, rows)}

    def find(self, name: str, lane: str | None = None) -> list[Entry]:
        """The letters with this letter id, task id or message id, gone ones included, newest first."""
        rows = self._database.read(
            f"{_SELECT} WHERE (id = ? OR task_id = ? OR message_id = ?) AND (lane = ? OR ? IS NULL)"
            " ORDER BY generation DESC, failed_at DESC LIMIT 100",
            (name, name, name, lane, lane),
        )
        return [_entry(row) for row in rows]

    def groups(self, lane: str | None = None) -> list[Group]:
        """The letters in dead-letter queues, grouped, largest group first."""
        rows = self._database.read(
            "SELECT lane, cause, error_type, model, COUNT(*), MIN(failed_at), MAX(failed_at), MIN(expires_at)"
            " FROM letters WHERE state NOT IN (?, ?) AND expires_at > ? AND (lane = ? OR ? IS NULL)"
            " GROUP BY lane, cause, error_type, model ORDER BY COUNT(*) DESC, MAX(failed_at) DESC",
            (*GONE, time.time(), lane, lane),
        )
        return [
            Group(
                lane=row[0],
                cause=Cause(row[1]),
                error_type=row[2],
                model=row[3],
                count=row[4],
                oldest_at=row[5],
                newest_at=row[6],
                expires_at=row[7],
                error=self._newest_error(row[0], row[1], row[2], row[3]),
            )
            for row in rows
        ]

    def _newest_error(self, lane: str, cause: str, error_type: str, model: str | None) -> str:
        rows = self._database.read(
            "SELECT error FROM letters WHERE lane = ? AND cause = ? AND error_type = ? AND model IS ?"
            " AND state NOT IN (?, ?) ORDER BY failed_at DESC LIMIT 1",
            (lane, cause, error_type, model, *GONE),
        )
        return str(rows[0][0]) if rows else ""

    def page(self, selection: Selection, *, after: str | None = None, limit: int = 100) -> Page:
        """A page of the letters that fit, newest first.

        Raises ValueError for an `after` that no page gave.
        """
        where, parameters = _where(selection)
        if after is not None:
            failed_at, _, id_ = after.partition(" ")
            where += " AND (failed_at, id) < (?, ?)"
            parameters += (float(failed_at), id_)
        rows = self._database.read(
            f"{_SELECT} WHERE {where} ORDER BY failed_at DESC, id DESC LIMIT ?", (*parameters, limit + 1)
        )
        entries = [_entry(row) for row in rows[:limit]]
        more = len(rows) > limit
        return Page(entries, f"{entries[-1].failed_at!r} {entries[-1].id}" if more else None)

    def count(self, selection: Selection) -> int:
        """How many letters fit."""
        where, parameters = _where(selection)
        return int(self._database.read(f"SELECT COUNT(*) FROM letters WHERE {where}", parameters)[0][0])  # noqa: S608

    def mark(self, lane: str, markings: Sequence[Marking]) -> None:
        """Set the states of some letters, all at once."""
        rows = [(each.state, each.to_lane, each.to_task, lane, each.id) for each in markings]
        sql = "UPDATE letters SET state = ?, to_lane = ?, to_task = ? WHERE lane = ? AND id = ?"
        if rows:
            self._database.write(lambda connection: connection.executemany(sql, rows))

    def forget(self, lane: str, ids: Sequence[str]) -> None:
        """Remove entries whose letters are not in the queue any more."""
        rows = [(lane, id_) for id_ in ids]
        if rows:
            self._database.write(
                lambda connection: connection.executemany("DELETE FROM letters WHERE lane = ? AND id = ?", rows)
            )

    def stops(self) -> list[LanePause]:
        """The lanes whose consumption is paused."""
        return [LanePause(*row) for row in self._database.read("SELECT lane, since, by, why FROM stops ORDER BY lane")]

    def stop(self, stop: LanePause) -> None:
        """Stop a lane's consumption everywhere; a later stop replaces an earlier one."""
        row = dataclasses.astuple(stop)
        sql = (
            "INSERT INTO stops (lane, since, by, why) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " since = excluded.since, by = excluded.by, why = excluded.why WHERE excluded.since > stops.since"
        )
        self._database.write(lambda connection: connection.execute(sql, row))

    def resume(self, lane: str) -> bool:
        """Take it up again; False if it was not stopped."""
        sql = "DELETE FROM stops WHERE lane = ?"
        return bool(self._database.write(lambda connection: connection.execute(sql, (lane,)).rowcount))

    def failures_since(self, lane: str, since: float) -> int:
        """Letters that came since then, those that were the caller's fault not counted."""
        sql = "SELECT COUNT(*) FROM letters WHERE lane = ? AND failed_at >= ? AND cause != ?"
        return int(self._database.read(sql, (lane, since, Cause.INVALID_INPUT))[0][0])


def _entry(row: tuple[Any, ...]) -> Entry:
    values = dict(zip(_COLUMNS, row, strict=True))
    values |= {"cause": Cause(values["cause"]), "state": State(values["state"]), "buried": bool(values["buried"])}
    return Entry(**values)


def _where(selection: Selection) -> tuple[str, tuple[Any, ...]]:
    """A condition and its parameters; letters that SQS has dropped fit no selection."""
    terms, parameters = ["expires_at > ?"], [time.time()]  # type: tuple[list[str], list[Any]]
    if frozenset(selection.state) != frozenset(State):
        terms.append(f"state IN {_ANY}")
        parameters.append(json.dumps(sorted(selection.state)))
    if selection.ids:
        terms.append(f"(id IN {_ANY} OR task_id IN {_ANY} OR message_id IN {_ANY})")
        parameters += [json.dumps(sorted(selection.ids))] * 3
    if selection.until is not None:
        terms.append("failed_at <= ?")
        parameters.append(selection.until)
    for name in ("lane", "cause", "error_type", "model", "task"):
        value = getattr(selection, name)
        if value is not None:
            terms.append(f"{name} = ?")
            parameters.append(value)
    return " AND ".join(terms), tuple(parameters)
