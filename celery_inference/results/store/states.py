"""States of tasks: of one generation the first final one stays. See `celery_inference.results.rules`."""

from collections.abc import Iterable, Sequence

from celery_inference.results.items import (
    FINAL,
    ID,
    PART,
    TTL,
    VALUE,
    WHOLE,
    Item,
    ItemUpdate,
    Key,
    Value,
    is_over,
    named,
    ttl_of,
)
from celery_inference.results.protocol import KEEP_SECONDS
from celery_inference.results.rules import NewState, StoredState, is_kept, opens, place
from celery_inference.results.store.attempts import records_to_delete
from celery_inference.results.store.values import PIECES, join, pieces_of, split
from celery_inference.results.table import Decide, ItemTable

GENERATION = "generation"
PAST = "past#"
_STANDING = (GENERATION, FINAL)


def place_of(key: bytes) -> Key:
    """Where the value of one of Celery's keys lies."""
    return named(key.decode("utf-8", "backslashreplace")), WHOLE


class States:
    """What Celery's backend reads and writes. Methods raise StoreUnavailable."""

    def __init__(self, table: ItemTable) -> None:
        self._table = table

    def read(self, keys: Iterable[bytes], now: float, *, lagging: bool = False) -> dict[bytes, bytes]:
        """The values of those that are there."""
        places = {place_of(key): key for key in keys}
        found = self._table.get(places, lagging=lagging)
        kept = [item for item in found.values() if not is_over(item, now)]
        # Pieces are written before what names them.
        return {places[where]: value for where, value in join(self._table, kept).items()}

    def put(self, key: bytes, value: bytes, expires_at: float | None) -> None:
        """Store a value that is no task's, whatever was there."""
        (id_, part), ttl = place_of(key), None if expires_at is None else ttl_of(expires_at)
        attributes, pieces = split(self._table, value, id_, ttl)
        self._table.put(pieces)
        self._table.put([{ID: id_, PART: part, **attributes, **({} if ttl is None else {TTL: ttl})}])

    def delete(self, key: bytes) -> None:
        """Forget a value, and the attempts that are with it."""
        self._table.delete(pieces_of(self._table.pop(place_of(key))))

    def store(self, states: Sequence[NewState], *, opening: bool = False) -> None:
        """Store each state unless what is there stays; `opening` only where its generation was not reached.

        With DynamoDB one call where nothing is stored yet, two where something is: what does not fit the condition is
        told with the refusal. Raises ResultTooLarge.
        """
        self._table.revise([(place_of(state.key), self._decided(state, opening)) for state in states])

    def _decided(self, state: NewState, opening: bool) -> Decide:
        id_ = place_of(state.key)[0]
        # What is not final must outlive its message: the attempts are with it.
        expires_at = state.expires_at if state.final else max(state.expires_at or 0.0, state.now + KEEP_SECONDS)
        ttl = None if expires_at is None else ttl_of(expires_at)
        attributes, pieces = split(self._table, state.value, id_, ttl)
        self._table.put(pieces)

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
            past: Item | None = None
            if standing is not None and is_kept(standing, placed):
                kept = {name: item[name] for name in (VALUE, PIECES, TTL) if name in item}
                past = {ID: id_, PART: f"{PAST}{standing.generation:07}", **kept}
            return ItemUpdate(
                put=put if ttl is None else {**put, TTL: ttl},
                remove=(*unused, *forgotten, *((TTL,) if ttl is None else ())),
                where={name: item.get(name) for name in _STANDING} | _expiry(item, state.now),
                beside=past,
            )

        return decide


def standing_of(item: Item, now: float) -> StoredState | None:
    """What is stored of a task; None for nothing, or what has expired."""
    if GENERATION not in item or is_over(item, now):
        return None
    return StoredState(int(item[GENERATION]), bool(item[FINAL]))


def _expiry(item: Item, now: float) -> dict[str, Value | None]:
    """What has expired is taken for nothing only if it still has when it is replaced."""
    return {TTL: item[TTL]} if is_over(item, now) else {}
