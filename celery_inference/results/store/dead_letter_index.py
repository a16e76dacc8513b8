"""The index of dead letters in the result store, a partition a lane; see
`celery_inference.sqs.dead_letters.index` for the promises.

Lists, pages and groups read the letters of their lanes and nothing else; the reconciler's counts read the index by
states.
"""

import dataclasses
import heapq
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from celery_inference.results.items import (
    AT,
    BY_STATE,
    BY_TIME,
    ID,
    MAX_NAME_BYTES,
    PART,
    STATE,
    TTL,
    Item,
    ItemUpdate,
    Key,
    Query,
    Value,
    is_over,
    ttl_of,
)
from celery_inference.results.store.store import ResultStore
from celery_inference.sqs.dead_letters.entry import Entry, State
from celery_inference.sqs.dead_letters.index import Group, LanePause, Marking, Page, Selection
from celery_inference.sqs.messages.reason import Cause

LANES = "lanes"
STOPS = "stops"
MAX_FOUND = 100
PAGE_ITEMS = 300  # of one call, where not all may be wanted
_FIELDS = tuple(field.name for field in dataclasses.fields(Entry))
_TOKEN = re.compile(r"\d{10}\.\d{6} .+", re.DOTALL)


class TableDeadLetterIndex:
    """Thread-safe."""

    def __init__(self, store: ResultStore) -> None:
        self._table = store.table
        self.look_seconds = store.table.look_seconds
        self._known_lanes: set[str] = set()
        self.open_generations = store.open_generations
        self.hold = store.hold
        self.let_go = store.let_go

    def add(self, entries: Sequence[Entry], *, again: bool = False) -> None:
        """Take up letters that were not known; `again` also those that were gone."""
        for lane in {entry.lane for entry in entries} - self._known_lanes:
            self._table.put([{ID: LANES, PART: lane}])
            self._known_lanes.add(lane)
        items = [_item(entry) for entry in entries]
        if again:
            self._table.put(items)
        else:
            self._table.put_new(items)

    def known(self, lane: str, ids: Sequence[str]) -> Mapping[str, Entry]:
        """Those of the letters that the index knows, gone ones included, by id."""
        found = self._table.get([_place(lane, id_) for id_ in ids])
        return {place[1]: _entry(item) for place, item in found.items()}

    def find(self, name: str, lane: str | None = None) -> list[Entry]:
        """The letters with this letter id, task id or message id, gone ones included, newest first.

        Both ids begin a letter's place in its lane; a message id of a task is looked for among all letters.
        """
        if not 0 < len(name.encode()) <= MAX_NAME_BYTES:
            return []
        found = [entry for each in self._lanes(lane) for entry in self._find(name, each)]
        found.sort(key=lambda entry: (entry.generation, entry.failed_at), reverse=True)
        return found[:MAX_FOUND]

    def _find(self, name: str, lane: str) -> list[Entry]:
        now, partition = time.time(), _partition(lane)
        for query in (Query(partition, place=("begins_with", name)), Query(partition)):
            found = [
                _entry(item)
                for item in self._table.query(query)
                if name in (item[PART], item.get("task_id"), item["message_id"]) and not is_over(item, now)
            ]
            if found:
                return found
        return []

    def groups(self, lane: str | None = None) -> list[Group]:
        """The letters in dead-letter queues, grouped, largest group first."""
        members: dict[tuple[str, Cause, str, str | None], list[Entry]] = {}
        for entry in self._fitting(Selection(lane=lane)):
            members.setdefault((entry.lane, entry.cause, entry.error_type, entry.model), []).append(entry)
        groups = [
            Group(
                *what,
                count=len(entries),
                oldest_at=entries[-1].failed_at,
                newest_at=entries[0].failed_at,
                expires_at=min(entry.expires_at for entry in entries),
                error=entries[0].error,
            )
            for what, entries in members.items()
        ]
        return sorted(groups, key=lambda group: (group.count, group.newest_at), reverse=True)

    def page(self, selection: Selection, *, after: str | None = None, limit: int = 100) -> Page:
        """A page of the letters that fit, newest first.

        Raises ValueError for an `after` that no page gave.
        """
        if after is not None and not _TOKEN.fullmatch(after):
            raise ValueError(f"{after!r} is not what a page ended with")
        entries = list(islice(self._fitting(selection, below=after), limit + 1))
        more = len(entries) > limit
        return Page(entries[:limit], _at(entries[limit - 1]) if more else None)

    def count(self, selection: Selection) -> int:
        """How many letters fit."""
        if selection != Selection(lane=selection.lane, state=selection.state):
            return sum(1 for _ in self._fitting(selection))
        now = time.time()
        return sum(
            self._table.count(
                Query(_partition(lane), index=BY_STATE, place=("=", str(state)), conditions=((TTL, ">", now),))
            )
            for lane in self._lanes(selection.lane)
            for state in selection.state
        )

    def _fitting(self, selection: Selection, below: str | None = None) -> Iterator[Entry]:
        """The letters that fit, newest first, of those before this place."""
        now = time.time()
        if selection.ids:
            found = {
                (entry.lane, entry.id): entry for name in selection.ids for entry in self.find(name, selection.lane)
            }
            candidates = iter(sorted(found.values(), key=_at, reverse=True))
            entries: Iterator[Entry] = (entry for entry in candidates if below is None or _at(entry) < below)
        else:
            bounds = [below] if below else []
            if selection.until is not None:
                bounds.append(_time(selection.until + 0.000_002))  # it was rounded, and `matches` looks at it again
            place = ("<", min(bounds)) if bounds else None
            lanes = [
                self._table.query(Query(_partition(lane), index=BY_TIME, place=place, backwards=True), page=PAGE_ITEMS)
                for lane in self._lanes(selection.lane)
            ]
            merged = heapq.merge(*lanes, key=lambda item: str(item[AT]), reverse=True)
            entries = (_entry(item) for item in merged if not is_over(item, now))
        return (entry for entry in entries if selection.matches(entry))

    def _lanes(self, lane: str | None) -> list[str]:
        return [lane] if lane is not None else [str(item[PART]) for item in self._table.query(Query(LANES))]

    def mark(self, lane: str, markings: Sequence[Marking]) -> None:
        """Set the states of some letters; those that the index does not know stay unknown."""
        self._table.update([(_place(lane, marking.id), _marked(lane, marking)) for marking in markings])

    def forget(self, lane: str, ids: Sequence[str]) -> None:
        """Remove entries whose letters are not in the queue any more."""
        self._table.delete([_place(lane, id_) for id_ in dict.fromkeys(ids)])

    def pauses(self) -> list[LanePause]:
        """The lanes whose consumption is paused."""
        return [
            LanePause(str(item[PART]), float(item["since"]), str(item["by"]), str(item["why"]))
            for item in self._table.query(Query(STOPS))
        ]

    def pause(self, pause: LanePause) -> None:
        """Pause a lane's consumption everywhere; a later pause replaces an earlier one."""
        put: dict[str, Value] = {"since": pause.since, "by": pause.by, "why": pause.why}

        def decide(item: Item) -> ItemUpdate | None:
            since = item.get("since")
            return (
                None if since is not None and float(since) >= pause.since else ItemUpdate(put, where={"since": since})
            )

        self._table.revise([((STOPS, pause.lane), decide)])

    def resume(self, lane: str) -> bool:
        """Take it up again; False if it was not paused."""
        return bool(self._table.pop((STOPS, lane)))

    def failures_since(self, lane: str, since: float) -> int:
        """Letters that came since then of causes that pause a lane."""
        return self._table.count(
            Query(
                _partition(lane),
                index=BY_TIME,
                place=(">=", _time(since)),
                conditions=tuple(("cause", "<>", str(cause)) for cause in Cause if not cause.stops_lane),
                lagging=True,
            )
        )


def _marked(lane: str, marking: Marking) -> ItemUpdate:
    targets = {"to_lane": marking.to_lane, "to_task": marking.to_task}
    put: dict[str, Value] = {name: value for name, value in targets.items() if value is not None}
    place = _place(lane, marking.id)
    return ItemUpdate(
        put={STATE: str(marking.state), **put},
        remove=tuple(name for name in targets if name not in put),
        where={ID: place[0], PART: place[1]},
    )


def _partition(lane: str) -> str:
    return f"letters#{lane}"


def _place(lane: str, id_: str) -> Key:
    return _partition(lane), id_


def _time(seconds: float) -> str:
    return f"{max(0.0, seconds):017.6f}"


def _at(entry: Entry) -> str:
    return f"{_time(entry.failed_at)} {entry.id}"


def _item(entry: Entry) -> Item:
    values = {name: getattr(entry, name) for name in _FIELDS}
    kept: Item = {
        name: str(value) if isinstance(value, str) else value for name, value in values.items() if value is not None
    }
    del kept["id"], kept["lane"]
    partition, place = _place(entry.lane, entry.id)
    return {**kept, ID: partition, PART: place, AT: _at(entry), TTL: ttl_of(entry.expires_at)}


def _entry(item: Item) -> Entry:
    values: dict[str, Any] = {name: item.get(name) for name in _FIELDS}
    read = {
        "cause": Cause.read(values["cause"], values["error_type"]),
        "state": State(str(values["state"])),
        "id": item[PART],
        "lane": str(item[ID]).partition("#")[2],
    }
    return Entry(**{**values, **read})
