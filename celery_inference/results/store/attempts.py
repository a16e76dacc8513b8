"""Attempts of requests: with the state of their task, so that storing its outcome ends them for nothing."""

from collections.abc import Mapping
from functools import lru_cache

from celery_inference.results.encoding import dumped, loaded
from celery_inference.results.items import ID, PART, TTL, Item, ItemUpdate, Value, is_over, ttl_of
from celery_inference.results.protocol import KEEP_SECONDS, Start
from celery_inference.results.rules import AttemptRecord

_PREFIX = "attempts-"
_NONE = AttemptRecord()


@lru_cache(64)
def attribute(generation: int) -> str:
    """Where the account of a generation is."""
    return f"{_PREFIX}{generation}"


def record_in(item: Mapping[str, Value], generation: int) -> AttemptRecord:
    """The account of a generation."""
    text = item.get(attribute(generation))
    if text is None:
        return _NONE
    delivery, *hosts = loaded(str(text))
    return AttemptRecord(tuple(hosts), delivery)


def count_in(item: Mapping[str, Value], generation: int) -> int:
    """How many attempts of a generation have begun."""
    text = item.get(attribute(generation))
    return 0 if text is None else len(loaded(str(text))) - 1


def beginning(item: Item, start: Start, now: float) -> ItemUpdate | None:
    """What counts this attempt; None if it is counted."""
    name, ttl, over = attribute(start.generation), item.get(TTL), is_over(item, now)
    record = _NONE if over else record_in(item, start.generation)
    begun = record.begun(start)
    if begun is record:
        return None
    put: dict[str, Value] = {name: _text(begun)}
    if not item or ttl is not None:  # what is there without an end is kept without one
        keep = ttl_of(now + KEEP_SECONDS)
        put[TTL] = keep if ttl is None or over else max(ttl_of(float(ttl)), keep)
    # What has expired and is not deleted yet is no state of this request.
    stale = tuple(other for other in item if other not in (ID, PART, name, TTL)) if over else ()
    return ItemUpdate(put=put, remove=stale, where={name: item.get(name), TTL: ttl})


def taking_back(item: Item, start: Start) -> ItemUpdate | None:
    """What uncounts this attempt; None if the last one is another's."""
    record = record_in(item, start.generation)
    left = record.taken_back(start)
    if left is record:
        return None
    name = attribute(start.generation)
    return ItemUpdate(put={name: _text(left)}, where={name: item[name]})


def records_to_delete(item: Item, generation: int | None) -> list[str]:
    """The attributes of generations that have ended with this one; None means all. Its own is among them, unseen."""
    found = [int(name.removeprefix(_PREFIX)) for name in item if name.startswith(_PREFIX)]
    ended = {generation or 0, *(each for each in found if generation is None or each <= generation)}
    return [attribute(each) for each in sorted(ended)]


def _text(record: AttemptRecord) -> str:
    return dumped([record.delivery, *record.hosts])
