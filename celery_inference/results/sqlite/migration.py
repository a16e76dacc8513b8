"""What files of version 4 hold, a table a concept, as items; see `celery_inference.results.items`."""

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

from celery_inference.results.items import AT, ID, PART, STATE, TTL, VALUE, WHOLE, Item, Key, key_of, named

TASK_KEY = "celery-task-meta-"  # Celery's key of a task, where attempts have no state beside them
TABLES = (
    "entries",
    "past_outcomes",
    "attempts",
    "hosts",
    "tombstones",
    "leases",
    "killers",
    "chord_parts",
    "closed_chords",
    "submissions",
    "letters",
    "stops",
    "host_figures",
)


def move_to_items(connection: sqlite3.Connection) -> None:
    """Write every row of the tables as an item, and drop the tables. Runs inside the upgrade's transaction."""
    connection.executemany(
        "INSERT OR REPLACE INTO items (id, part, at, state, ttl, value, rest) VALUES (?, ?, ?, ?, ?, ?, ?)",
        map(_row, _items(connection)),
    )
    for table in TABLES:
        connection.execute(f"DROP TABLE {table}")


def _row(item: Item) -> tuple[Any, ...]:
    columns = (ID, PART, AT, STATE, TTL, VALUE)
    rest = {name: value for name, value in item.items() if name not in columns and value is not None}
    return (*(item.get(name) for name in columns), json.dumps(rest, separators=(",", ":")))


def _items(connection: sqlite3.Connection) -> Iterator[Item]:
    yield from _states(connection)
    for key, generation, value, ttl in connection.execute(
        "SELECT key, generation, value, expires_at FROM past_outcomes"
    ):
        yield _item((_id(key), f"past#{generation:07}"), ttl, value=value)
    for task_id, ttl in connection.execute("SELECT task_id, expires_at FROM tombstones"):
        yield _item((f"cancelled#{named(task_id)}", WHOLE), ttl)
    for name, holder, until in connection.execute("SELECT name, holder, expires_at FROM leases"):
        yield _item((f"lease#{named(name)}", WHOLE), until + 86_400.0, holder=holder, until=until)
    for digest, sentence, ttl in connection.execute("SELECT digest, sentence, expires_at FROM killers"):
        yield _item(("killers", digest), ttl, sentence=sentence)
    for group_id, task_id, ttl in connection.execute("SELECT group_id, task_id, expires_at FROM chord_parts"):
        yield _item((f"parts#{named(group_id)}", named(task_id)), ttl)
    closed = dict(connection.execute("SELECT group_id, expires_at FROM closed_chords"))
    for group_id, told, ttl in connection.execute(
        "SELECT group_id, COUNT(*), MAX(expires_at) FROM chord_parts GROUP BY group_id"
    ):
        yield _item((f"chord#{named(group_id)}", WHOLE), ttl, told=told)
    for group_id, ttl in closed.items():
        yield _item((f"chord#{named(group_id)}", WHOLE), ttl, told=0, closed=True)
    for task_id, submitter, until, sent, ttl in connection.execute(
        "SELECT task_id, submitter, claimed_until, sent, expires_at FROM submissions"
    ):
        yield _item((f"submission#{named(task_id)}", WHOLE), ttl, submitter=submitter, until=until, sent=bool(sent))
    for host, minute, started, failed, ttl in connection.execute(
        "SELECT host, minute, started, failed, expires_at FROM host_figures"
    ):
        yield _item(("hosts", f"{minute:010}#{named(host)}"), ttl, started=started, failed=failed)
    yield from _letters(connection)


def _states(connection: sqlite3.Connection) -> Iterator[Item]:
    """States, each with the attempts of its task."""
    found: dict[Key, Item] = {}
    for key, value, final, ttl, generation in connection.execute(
        "SELECT key, value, final, expires_at, generation FROM entries"
    ):
        item = _item((_id(key), WHOLE), ttl, value=value, generation=generation, final=bool(final))
        found[key_of(item)] = item
    for task_id, generation, delivery, hosts, ttl in connection.execute(
        "SELECT task_id, generation, delivery, hosts, expires_at FROM attempts"
    ):
        place = (named(f"{TASK_KEY}{task_id}"), WHOLE)
        item = found.setdefault(place, _item(place, ttl))
        item[f"attempts-{generation}"] = json.dumps([delivery, *json.loads(hosts)], separators=(",", ":"))
        if TTL in item and ttl is not None:
            item[TTL] = max(float(item[TTL]), ttl)
    yield from found.values()


def _letters(connection: sqlite3.Connection) -> Iterator[Item]:
    cursor = connection.execute("SELECT * FROM letters")
    names = [column[0] for column in cursor.description]
    lanes = set()
    for row in cursor:
        letter = dict(zip(names, row, strict=True))
        lane, id_, ttl = letter.pop("lane"), letter.pop("id"), letter["expires_at"]
        lanes.add(lane)
        at = f"{max(0.0, letter['failed_at']):017.6f} {id_}"
        yield _item((f"letters#{lane}", id_), ttl, **{**letter, AT: at, "buried": bool(letter["buried"])})
    for lane in lanes:
        yield _item(("lanes", lane), None)
    for lane, since, by, why in connection.execute("SELECT lane, since, by, why FROM stops"):
        yield _item(("stops", lane), None, since=since, by=by, why=why)


def _item(key: Key, ttl: float | None, **attributes: Any) -> Item:
    expiry = {} if ttl is None else {TTL: ttl}
    return {
        ID: key[0],
        PART: key[1],
        **expiry,
        **{name: value for name, value in attributes.items() if value is not None},
    }


def _id(key: bytes) -> str:
    return named(key.decode("utf-8", "backslashreplace"))
