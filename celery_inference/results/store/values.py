"""Results as an item holds them: as they are, or where items are bounded compressed, and in pieces if need be.

With DynamoDB a piece costs what an item costs, a write unit for each KiB. Everything of a result is in one table then,
under one policy and with one expiry; S3 would be cheaper from about 8 KiB on, as a PUT costs as much as eight write
units.
"""

import zlib
from collections.abc import Iterable, Mapping
from typing import Any, Self
from uuid import uuid4

from kombu.exceptions import EncodeError

from celery_inference.results.items import ID, PART, TTL, VALUE, Item, Key, key_of
from celery_inference.results.table import ItemTable
from celery_inference.specs.errors import InvalidInput

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html: an item, names of its attributes
# included, ends at 400 KB. What is beside the value takes less than 20.
MAX_ITEM_BYTES = 380_000
MAX_PIECES = 44  # 16.7 MB, written in a few seconds
COMPRESS_FROM_BYTES = 1_000  # smaller items cost one write unit anyway

PIECES = "pieces"  # `TOKEN:NUMBER` of a value that is kept in pieces
_PLAIN, _DEFLATED = b"\x00", b"\x01"


class ResultTooLarge(InvalidInput, EncodeError):
    """A result that this store cannot keep. An EncodeError, so that Celery ends the request with it as FAILURE."""

    @classmethod
    def of(cls, size_bytes: int) -> Self:
        """Of a value of this size, compressed."""
        limit = MAX_ITEM_BYTES * MAX_PIECES
        return cls(
            f"it is {size_bytes:,} bytes, compressed, and the result store keeps {limit:,}: put it elsewhere, and"
            " return where"
        )

    @classmethod
    def in_place_of(cls, error: Mapping[str, Any]) -> Self:
        """Of an error, as Celery encodes it, that is too large itself: its type, and how it begins."""
        text = " ".join(map(str, error.get("exc_message") or ()))
        return cls(f"{error.get('exc_type')}: {text[:1_000]} (the rest is too large to be kept)")


def split(table: ItemTable, value: bytes, id_: str, ttl: int | None) -> tuple[Item, list[Item]]:
    """The attributes that stand for a value, and the items of its pieces, which are to be written before.

    Raises ResultTooLarge.
    """
    if not table.bounded:
        return {VALUE: value}, []
    packed = _packed(value)
    if len(packed) <= MAX_ITEM_BYTES:
        return {VALUE: packed}, []
    pieces = [packed[start : start + MAX_ITEM_BYTES] for start in range(0, len(packed), MAX_ITEM_BYTES)]
    if len(pieces) > MAX_PIECES:
        raise ResultTooLarge.of(len(packed))
    token = uuid4().hex[:12]
    expiry: Item = {} if ttl is None else {TTL: ttl}
    items: list[Item] = [
        {ID: id_, PART: _place(token, number), VALUE: piece, **expiry} for number, piece in enumerate(pieces)
    ]
    return {PIECES: f"{token}:{len(pieces)}"}, items


def join(table: ItemTable, items: Iterable[Item]) -> dict[Key, bytes]:
    """The values of items, by their keys. What has no value, or lost a piece, is left out."""
    whole: dict[Key, bytes] = {}
    wanted: dict[Key, list[Key]] = {}
    for item in items:
        key = key_of(item)
        if PIECES in item:
            wanted[key] = pieces_of(item)
        elif VALUE in item:
            value = _bytes(item[VALUE])
            whole[key] = _unpacked(value) if table.bounded else value
    for key, places in wanted.items():
        found = table.get(places)
        if len(found) == len(places):
            whole[key] = _unpacked(b"".join(_bytes(found[place][VALUE]) for place in places))
    return whole


def pieces_of(item: Item) -> list[Key]:
    """Where the pieces of an item's value are; none where it has it itself."""
    token, _, count = str(item.get(PIECES, ":0")).partition(":")
    return [(str(item[ID]), _place(token, number)) for number in range(int(count))]


def _place(token: str, number: int) -> str:
    return f"piece#{token}#{number:03}"


def _bytes(value: object) -> bytes:
    return bytes(value)  # type: ignore[call-overload, no-any-return]  # a binary attribute


def _packed(value: bytes) -> bytes:
    if len(value) >= COMPRESS_FROM_BYTES:
        deflated = zlib.compress(value)
        if len(deflated) < len(value):
            return _DEFLATED + deflated
    return _PLAIN + value


def _unpacked(packed: bytes) -> bytes:
    return zlib.decompress(packed[1:]) if packed[:1] == _DEFLATED else packed[1:]
