"""States of tasks in the table: of one generation the first final one stays. See `celery_inference.results.rules`."""

import math
from collections.abc import Iterable

from celery_inference.results.dynamodb.attempts import records_to_delete
from celery_inference.results.dynamodb.items import Item, ItemUpdate, Key, Value, is_over
from celery_inference.results.dynamodb.schema import ID, PART, TTL, WHOLE, named
from celery_inference.results.dynamodb.table import DynamoDBTable
from celery_inference.results.dynamodb.values import PIECES, VALUE, join, pieces_of, split
from celery_inference.results.protocol import KEEP_SECONDS
from celery_inference.results.rules import NewState, StoredState, is_kept, opens, place

GENERATION = "generation"
FINAL = "final"
PAST = "past#"
_STANDING = (GENERATION, FINAL)


def place_of(key: bytes) -> Key:
    """Where the value of one of Celery's keys lies."""
    return named(key.decode("utf-8", "backslashreplace")), WHOLE


def ttl_of(expires_at: float | None) -> int | None:
    """As DynamoDB wants it."""
    return None if expires_at is None else math.ceil(expires_at)


class States:
    """What Celery's backend reads and writes. Methods raise StoreUnavailable."""

    def __init__(self, table: DynamoDBTable) -> None:
        self._table = table

    def read(self, keys: Iterable[bytes], now: float, *, lagging: bool = False) -> dict[bytes, bytes]:
        """The values of those that are there."""
        places = {place_of(key): key for key in keys}
        if len(places) == 1:
            (where,) = places
            found = {where: self._table.get_one(where, lagging=lagging)}
        else:
            found = self._table.get(places, lagging=lagging)
        kept = [item for item in found.values() if item and not is_over(item, now)]
        # Pieces are written before what names them.
        return {places[where]: value for where, value in join(kept, self._table.get).items()}

    def put(self, key: bytes, value: bytes, expires_at: float | None) -> None:
        """Store a value that is no task's, whatever was there."""
        where, ttl = place_of(key), ttl_of(expires_at)
        attributes, pieces = split(value, where[0], ttl)
        self._table.write(pieces)
        self._table.put({ID: where[0], PART: where[1], **attributes, **({} if ttl is None else {TTL: ttl})})

    def delete(self, key: bytes) -> None:
        """Forget a value, and the attempts that are with it."""
        self._table.write(deletes=pieces_of(self._table.delete(place_of(key))))

    def store(self, state: NewState, *, opening: bool = False) -> None:
        """Store a state unless what is there stays; `opening` only where its generation was not reached.

        One call where nothing is stored yet, two where something is: what does not fit the condition is told with the
        refusal. Raises ResultTooLarge.
        """
        where = place_of(state.key)
        # What is not final must outlive its message: the attempts are with it.
        expires_at = state.expires_at if state.final else max(state.expires_at or 0.0, state.now + KEEP_SECONDS)
        ttl = ttl_of(expires_at)
        attributes, pieces = split(state.value, where[0], ttl)
        self._table.write(pieces)

        def decide(item: Item) -> ItemUpdate | None:
            standing = standing_of(item, state.now)
            if opening and not opens(standing, state.generation or 0):
                return None
            placed = place(standing, state)
            if placed is None:
                return None
            put = {**attributes, GENERATION: placed.generation, FINAL: placed.final}
            unused = [name for name in (VALUE, PIECES) if name not in attributes]
            over = is_over(item, state.now)
            forgotten = records_to_delete(item, None if over else state.generation) if state.final or over else []
            return ItemUpdate(
                put=put if ttl is None else {**put, TTL: ttl},
                remove=(*unused, *forgotten, *((TTL,) if ttl is None else ())),
                where={name: item.get(name) for name in _STANDING} | _expiry(item, state.now),
            )

        def keep(item: Item, change: ItemUpdate) -> None:
            """Before an outcome of an earlier generation is replaced: put it where the past is."""
            standing = standing_of(item, state.now)
            if standing is not None and is_kept(standing, StoredState(int(change.put[GENERATION]), False)):
                past = {name: item[name] for name in (VALUE, PIECES, TTL) if name in item}
                self._table.put({ID: where[0], PART: f"{PAST}{standing.generation:07}", **past})

        self._table.revise(where, decide, keep)


def standing_of(item: Item, now: float) -> StoredState | None:
    """What is stored of a task; None for nothing, or what has expired."""
    if GENERATION not in item or is_over(item, now):
        return None
    return StoredState(int(item[GENERATION]), bool(item[FINAL]))


def _expiry(item: Item, now: float) -> dict[str, Value | None]:
    """What has expired is taken for nothing only if it still has when it is replaced."""
    return {TTL: item[TTL]} if is_over(item, now) else {}
