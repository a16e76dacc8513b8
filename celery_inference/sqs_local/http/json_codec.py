"""JSON in bytes, for requests, answers and the journal: orjson's where it is installed, else Python's own.

What orjson refuses, Python's own decoder decides on, so that the same requests are refused with and without it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

_text_of = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode
_value_in = json.JSONDecoder().raw_decode
_WHITE: Final = " \t\r\n"


def _encode(value: Any) -> bytes:
    return _text_of(value).encode()


def _decode(data: bytes) -> Any:
    """Raises ValueError for what is not JSON, and RecursionError for what is nested too deeply."""
    text = data.decode().strip(_WHITE)
    value, end = _value_in(text)
    if end != len(text):
        raise ValueError("more than one value")
    return value


def _with_orjson() -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
    try:
        import orjson
    except ImportError:
        return _encode, _decode
    loads = orjson.loads

    def decode(data: bytes) -> Any:
        try:
            return loads(data)
        except ValueError:
            return _decode(data)

    return orjson.dumps, decode


encode, decode = _with_orjson()
