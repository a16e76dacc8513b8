"""States as JSON, of which an embedding's numbers are most: orjson writes those, where it is installed.

384 numbers take kombu's encoder 0.28 ms and orjson 0.01 ms, of 2 ms that a request costs a worker's parent. What is
neither numbers nor plain is kombu's to write, which has its own ways for dates, UUIDs and whatever JSON lacks.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

_DEPTH: Final = 3  # lists in lists: a list of token-level states is what nests deepest
_PLAIN: Final = {str, int, bool, type(None)}  # every encoder writes these alike


try:
    import orjson as _orjson
except ImportError:  # comes with the extra `worker`; applications store no results
    _orjson = None  # type: ignore[assignment]


def dumped(value: Any) -> str:
    """A small value as JSON."""
    if _orjson is not None:
        try:
            return _orjson.dumps(value).decode()
        except TypeError:
            pass  # half a surrogate pair, which JSON can escape and orjson does not write
    return json.dumps(value, separators=(",", ":"))


def loaded(text: str | bytes) -> Any:
    """What `dumped` wrote."""
    if _orjson is not None:
        try:
            return _orjson.loads(text)
        except ValueError:
            pass
    return json.loads(text)


def encoded(state: Mapping[str, Any], encode: Callable[[Any], str | bytes]) -> bytes:
    """The state, which has members besides `result`, as UTF-8; `encode` writes what is not a list of floats."""
    numbers = _numbers(state.get("result"))
    if numbers is None:
        return as_bytes(encode(state))
    rest = {name: value for name, value in state.items() if name != "result"}
    plain = all(type(value) in _PLAIN or value == [] for value in rest.values())
    text = dumped(rest).encode() if plain else as_bytes(encode(rest))
    return text.removesuffix(b"}") + b', "result": ' + numbers + b"}"


def _numbers(value: Any) -> bytes | None:
    if _orjson is None or not _is_floats(value, _DEPTH):
        return None
    text = _orjson.dumps(value)
    # What is not finite becomes null, where Python reads and writes NaN and Infinity.
    return None if b"null" in text else text


def _is_floats(value: Any, depth: int) -> bool:
    if type(value) is not list or not value or not depth:
        return False
    kinds = set(map(type, value))
    return kinds == {float} or (kinds == {list} and all(_is_floats(item, depth - 1) for item in value))


def as_bytes(text: str | bytes) -> bytes:
    """What an encoder of kombu's gave, as the store keeps it."""
    return text.encode() if isinstance(text, str) else bytes(text)
