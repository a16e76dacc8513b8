"""The table in one SQLite file: what orders and expires items has columns, everything else of an item is JSON."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from celery_inference.results.encoding import dumped, loaded
from celery_inference.results.items import AT, ID, PART, STATE, TTL, VALUE, Item, Key, Query, key_of
from celery_inference.results.sqlite.database import Database
from celery_inference.results.table import Decide, ItemTable

_COLUMNS = (ID, PART, AT, STATE, TTL, VALUE)
_SELECT = "SELECT id, part, at, state, ttl, value, rest FROM items"
_WITHOUT_VALUE = "SELECT id, part, at, state, ttl, NULL, rest FROM items"
_PUT = "INSERT OR REPLACE INTO items (id, part, at, state, ttl, value, rest) VALUES (?, ?, ?, ?, ?, ?, ?)"
_ONE = f"{_SELECT} WHERE id = ? AND part = ?"
_DELETE = "DELETE FROM items WHERE id = ? AND part = ?"
_OPERATORS = frozenset(("=", "<", ">", "<=", ">=", "<>"))
PAGE = 1_000
MOST_NAMES = 500  # of one statement


class SQLiteTable(ItemTable):
    """See ItemTable. One file, shared by the processes of a machine; many changes are one transaction."""

    look_seconds = 1.0

    def __init__(self, path: Path) -> None:
        self.database = Database(path)

    def get(self, keys: Iterable[Key], *attributes: str, lagging: bool = False) -> dict[Key, Item]:
        """See ItemTable."""
        sql = _WITHOUT_VALUE if attributes and VALUE not in attributes else _SELECT
        found = (self.database.read(f"{sql} WHERE {among}", names) for among, names in _among(keys))
        return {row[:2]: read_row(row) for rows in found for row in rows}

    def put(self, items: Sequence[Item]) -> None:
        """See ItemTable."""
        rows = [written_row(item) for item in items]
        if rows:
            self.database.write(lambda connection: connection.executemany(_PUT, rows))

    def delete(self, keys: Sequence[Key]) -> None:
        """See ItemTable."""
        if keys:
            self.database.write(lambda connection: connection.executemany(_DELETE, keys))

    def pop(self, key: Key) -> Item:
        """See ItemTable."""

        def write(connection: sqlite3.Connection) -> Item:
            row = connection.execute(_ONE, key).fetchone()
            connection.execute(_DELETE, key)
            return {} if row is None else read_row(row)

        popped: Item = self.database.write(write)
        return popped

    def revise(self, revisions: Sequence[tuple[Key, Decide]], *, expected: bool = False) -> list[Item]:
        """See ItemTable. In one transaction, which others' changes share."""

        def write(connection: sqlite3.Connection) -> list[Item]:
            items: dict[Key, Item] = {}
            for among, names in _among([key for key, _ in revisions]):
                for row in connection.execute(f"{_SELECT} WHERE {among}", names):
                    items[row[:2]] = read_row(row)
            changed: dict[Key, Item] = {}
            revised = [_revised(items, changed, key, decide) for key, decide in revisions]
            connection.executemany(_PUT, map(written_row, changed.values()))
            return revised

        revised: list[Item] = self.database.write(write) if revisions else []
        return revised

    def query(self, query: Query, *, page: int | None = None) -> Iterator[Item]:
        """See ItemTable."""
        where, parameters = _where(query)
        order = query.order
        limit, direction = page or PAGE, "DESC" if query.backwards else "ASC"
        further: tuple[str, tuple[Any, ...]] = ("", ())
        while True:
            rows = self.database.read(
                f"{_SELECT} WHERE {where}{further[0]} ORDER BY {order} {direction}, part LIMIT ?",
                (*parameters, *further[1], limit),
            )
            items = [read_row(row) for row in rows]
            yield from items
            if len(items) < limit:
                return
            beyond = "<" if query.backwards else ">"
            last = items[-1]
            further = (
                f" AND ({order} {beyond} ? OR ({order} = ? AND part > ?))",
                (last[order], last[order], last[PART]),
            )

    def count(self, query: Query) -> int:
        """See ItemTable."""
        where, parameters = _where(query)
        return int(self.database.read(f"SELECT COUNT(*) FROM items WHERE {where}", parameters)[0][0])  # noqa: S608


def read_row(row: tuple[Any, ...]) -> Item:
    """The item of a row of `items`, whose columns are in the order of `_COLUMNS`, then `rest`."""
    item: Item = loaded(row[-1])
    for name, value in zip(_COLUMNS, row, strict=False):
        if value is not None:
            item[name] = value
    return item


def written_row(item: Item) -> tuple[Any, ...]:
    """The row of an item."""
    rest = dict(item)
    columns = [rest.pop(name, None) for name in _COLUMNS]
    return (*columns, dumped(rest))


def _among(keys: Iterable[Key]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Terms that find these keys, and their parameters: a term for those that share a place, or else a partition."""
    wanted = set(keys)
    same = 1 if len({key[1] for key in wanted}) <= len({key[0] for key in wanted}) else 0
    groups: dict[str, list[str]] = defaultdict(list)
    for key in wanted:
        groups[key[same]].append(key[1 - same])
    for shared, names in groups.items():
        for start in range(0, len(names), MOST_NAMES):
            some = names[start : start + MOST_NAMES]
            yield f"{_COLUMNS[same]} = ? AND {_COLUMNS[1 - same]} IN ({', '.join('?' * len(some))})", (shared, *some)


def _revised(items: dict[Key, Item], changed: dict[Key, Item], key: Key, decide: Decide) -> Item:
    """The item as it will be; what is to be written for it is left in `changed`."""
    present = items.get(key, {})
    change = decide(present)
    if change is None:
        return present
    if change.beside is not None:
        beside = key_of(change.beside)
        items[beside] = changed[beside] = change.beside
    items[key] = changed[key] = change.applied(key, present)
    return items[key]


def _where(query: Query) -> tuple[str, tuple[Any, ...]]:
    terms, parameters = ["id = ?"], [query.partition]  # type: tuple[list[str], list[Any]]
    if query.index is not None:
        terms.append(f"{query.order} IS NOT NULL")
    for name, operator, value in ((query.order, *query.place),) if query.place else ():
        if operator == "begins_with":
            terms += [f"{name} >= ?", f"substr({name}, 1, length(?)) = ?"]
            parameters += [value, value, value]
        else:
            terms.append(_compared(name, operator))
            parameters.append(value)
    for name, operator, value in query.conditions:
        terms.append(_compared(name if name in _COLUMNS else f"rest ->> '$.{name}'", operator))
        parameters.append(value)
    return " AND ".join(terms), tuple(parameters)


def _compared(what: str, operator: str) -> str:
    if operator not in _OPERATORS:
        raise ValueError(f"{operator!r} is no operator: {', '.join(sorted(_OPERATORS))} or begins_with")
    return f"{what} {operator} ?"
