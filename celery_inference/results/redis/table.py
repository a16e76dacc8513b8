"""The table in Redis or Valkey: an item is a string, compared and replaced by a script.

With `appendfsync always` an answer means that the write is on disk; `weaknesses` names what promises less.
"""

import operator
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from redis import DataError, Redis, RedisError

from celery_inference.results.encoding import dumped, loaded
from celery_inference.results.items import AT, FINAL, ID, PART, TTL, VALUE, WHOLE, Item, Key, Query, key_of, ttl_of
from celery_inference.results.protocol import StoreUnavailable
from celery_inference.results.redis.scripts import DELETE, FORGET, WRITE
from celery_inference.results.table import Decide, ItemTable

CONNECT_SECONDS = 3.0
READ_SECONDS = 5.0
REVISIONS = 40  # of an item that others change at the same time
PAGE = 500
PREFIX = b"celery-inference:"
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "<>": operator.ne,
    "begins_with": str.startswith,
}
# What the store promises needs these settings of the server; each with what happens under any other.
SETTINGS = {
    "appendonly": ("yes", "what was stored since the last snapshot is lost when Redis is killed"),
    "appendfsync": ("always", "results that were stored in the last second or more are lost when Redis is killed"),
    "maxmemory-policy": ("noeviction", "Redis deletes results and attempts when its memory is full"),
}


class RedisTable(ItemTable):
    """See ItemTable. One server, or a primary with replicas; not a cluster."""

    look_seconds = 1.0

    def __init__(self, url: str, shown: str) -> None:
        self.shown = shown
        self.client: Any = Redis.from_url(
            url, socket_connect_timeout=CONNECT_SECONDS, socket_timeout=READ_SECONDS, health_check_interval=30
        )

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Redis's errors as the one that may pass: away, loading, read-only, full, or a disk that refuses."""
        try:
            yield
        except DataError:
            raise
        except (RedisError, OSError) as error:
            raise StoreUnavailable(f"{self.shown}: {error}") from error

    def get(self, keys: Iterable[Key], *attributes: str, lagging: bool = False) -> dict[Key, Item]:
        """See ItemTable."""
        return {
            key: item for key, raw in self._read(list(dict.fromkeys(keys))).items() if (item := read_item(key, raw))
        }

    def _read(self, keys: Sequence[Key]) -> dict[Key, bytes]:
        if not keys:
            return {}
        with self._telling():
            return {
                key: raw or b""
                for key, raw in zip(keys, self.client.mget([_item_key(key) for key in keys]), strict=True)
            }

    def put(self, items: Sequence[Item]) -> None:
        """See ItemTable."""
        self._run([(WRITE, *_write(item, b"*")) for item in items])

    def delete(self, keys: Sequence[Key]) -> None:
        """See ItemTable."""
        self._run([(DELETE, _keys(key), (key[1],)) for key in keys])

    def pop(self, key: Key) -> Item:
        """See ItemTable."""
        (raw,) = self._run([(DELETE, _keys(key), (key[1],))])
        return read_item(key, raw or b"")

    def _run(self, scripts: Sequence[tuple[str, list[bytes], tuple[Any, ...]]]) -> list[Any]:
        """Each script, in one exchange."""
        if not scripts:
            return []
        with self._telling(), self.client.pipeline(transaction=False) as pipeline:
            for script, keys, arguments in scripts:
                pipeline.eval(script, len(keys), *keys, *arguments)
            answers: list[Any] = pipeline.execute(raise_on_error=False)
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
        return answers

    def revise(self, revisions: Sequence[tuple[Key, Decide]], *, expected: bool = False) -> list[Item]:
        """See ItemTable. All are read in one exchange and written in another, but for those that others change."""
        revised: list[Item] = [{} for _ in revisions]
        left = list(range(len(revisions)))
        for number in range(REVISIONS):
            if not left:
                return revised
            if number > 1:
                time.sleep(random.uniform(0, 0.005 * number))  # noqa: S311 - spreads load
            left = self._revise(revisions, left, revised)
        if left:
            raise StoreUnavailable(f"{self.shown}: others changed an item {REVISIONS} times")
        return revised

    def _revise(self, revisions: Sequence[tuple[Key, Decide]], wanted: list[int], revised: list[Item]) -> list[int]:
        """Try those of the revisions; returns which are to be tried again: others' items, and seconds of one item."""
        first: dict[Key, int] = {}
        for place in wanted:
            first.setdefault(revisions[place][0], place)
        raws = self._read(list(first))
        again = [place for place in wanted if first[revisions[place][0]] != place]
        tried: list[int] = []
        scripts: list[tuple[str, list[bytes], tuple[Any, ...]]] = []
        for key, place in first.items():
            present = read_item(key, raws[key])
            change = revisions[place][1](present)
            if change is None:
                revised[place] = present
                continue
            if change.beside is not None:
                self.put([change.beside])
            revised[place] = change.applied(key, present)
            tried.append(place)
            scripts.append((WRITE, *_write(revised[place], raws[key])))
        answers = self._run(scripts)
        return sorted(again + [place for place, answer in zip(tried, answers, strict=True) if answer])

    def query(self, query: Query, *, page: int | None = None) -> Iterator[Item]:
        """See ItemTable."""
        by_time = query.index is not None and query.order == AT
        members = _list_key(query.partition, by_time=by_time)
        low, high = _bounds(query) if by_time or query.index is None else (b"-", b"+")
        size = page or PAGE
        while True:
            with self._telling():
                start, end = (high, low) if query.backwards else (low, high)
                found = self.client.zrange(members, start, end, desc=query.backwards, bylex=True, offset=0, num=size)
            keys = {
                member: (query.partition, member.rpartition(b"\0")[2].decode("utf-8", "surrogatepass"))
                for member in found
            }
            raws = self._read(list(keys.values()))
            self._run([(FORGET, [_item_key(key), members], (member,)) for member, key in keys.items() if not raws[key]])
            yield from (item for key in keys.values() if (item := read_item(key, raws[key])) and _fits(query, item))
            if len(found) < size:
                return
            if query.backwards:
                high = b"(" + found[-1]
            else:
                low = b"(" + found[-1]

    def count(self, query: Query) -> int:
        """See ItemTable."""
        return sum(1 for _ in self.query(query))

    @contextmanager
    def watching(self, id_: str) -> Iterator[Callable[[float], None]]:
        """Subscribed to a task's end: what it gives waits for that, for at most so many seconds, and never raises."""
        with self.client.pubsub() as pubsub:

            def wait(seconds: float) -> None:
                until = time.monotonic() + seconds
                try:
                    while (left := until - time.monotonic()) > 0:
                        if (told := pubsub.get_message(timeout=left)) and told["type"] == "message":
                            return
                except (RedisError, OSError):
                    time.sleep(max(0.0, min(0.5, until - time.monotonic())))

            with suppress(RedisError, OSError):
                pubsub.subscribe(_channel(id_))
                pubsub.get_message(timeout=READ_SECONDS)  # that it is subscribed
            yield wait

    def weaknesses(self) -> list[str]:
        """See ItemTable."""
        try:
            given = self.client.config_get(*SETTINGS)
        except RedisError as error:
            wanted_settings = ", ".join(f"{name} {wanted}" for name, (wanted, _) in SETTINGS.items())
            return [f"it does not tell its settings ({error}); it must have {wanted_settings}"]
        return [
            f"{name} is {given.get(name)}, not {wanted}: {effect}"
            for name, (wanted, effect) in SETTINGS.items()
            if given.get(name) != wanted
        ]


def read_item(key: Key, raw: bytes) -> Item:
    """The item of a string of Redis's; empty for none."""
    if not raw:
        return {}
    header, line, value = raw.partition(b"\n")
    item: Item = {**loaded(header), ID: key[0], PART: key[1]}
    return {**item, VALUE: value} if line else item


def written(item: Item) -> bytes:
    """The string of an item."""
    header = dumped({name: value for name, value in item.items() if name not in (ID, PART, VALUE)}).encode()
    return header + b"\n" + item[VALUE] if VALUE in item else header  # type: ignore[operator]  # it is bytes


def _write(item: Item, present: bytes) -> tuple[list[bytes], tuple[Any, ...]]:
    """The keys and arguments of the script WRITE."""
    key, ttl = key_of(item), item.get(TTL)
    channel = _channel(key[0]) if item.get(FINAL) else b""
    place = "" if key[1] == WHOLE else key[1]
    expiry = "" if ttl is None else ttl_of(float(ttl))
    return _keys(key), (place, present, written(item), expiry, item.get(AT, ""), channel)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _item_key(key: Key) -> bytes:
    return PREFIX + b"item:" + _bytes(key[0]) + b"\0" + _bytes(key[1])


def _list_key(partition: str, *, by_time: bool) -> bytes:
    return PREFIX + (b"times:" if by_time else b"places:") + _bytes(partition)


def _keys(key: Key) -> list[bytes]:
    return [_item_key(key), _list_key(key[0], by_time=False), _list_key(key[0], by_time=True)]


def _channel(id_: str) -> bytes:
    return PREFIX + b"end:" + _bytes(id_)


def _bounds(query: Query) -> tuple[bytes, bytes]:
    """Where the members of a list begin and end; `_fits` looks at each again."""
    if query.place is None:
        return b"-", b"+"
    operator_, value = query.place
    text = _bytes(str(value))
    if operator_ in ("<", "<="):
        return b"-", b"[" + text
    if operator_ in (">", ">="):
        return b"[" + text, b"+"
    return b"[" + text, b"(" + text + b"\xff"


def _fits(query: Query, item: Item) -> bool:
    terms = [*query.conditions, *([(query.order, *query.place)] if query.place else [])]
    return query.order in item and all(name in item and _OPERATORS[how](item[name], than) for name, how, than in terms)
