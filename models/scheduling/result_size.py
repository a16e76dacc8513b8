"""How large a result is, before anybody has to carry it: results are JSON in a store that has limits of its own."""

from __future__ import annotations

import json
from typing import Any

from celery_inference.specs.errors import InvalidInput
from celery_inference.specs.model_spec import ModelSpec

_NUMBER_BYTES = 26  # the longest that a float64 is written, and a separator


def size_bytes(result: Any, limit: int) -> int:
    """The bytes of a result as JSON, exactly where they may pass the limit and as an upper bound where they do not.

    Writing it down to measure it would double the work of every answer; counting is some ten times faster.
    """
    bound = _bound(result)
    return bound if bound <= limit else exact_bytes(result)


def exact_bytes(result: Any) -> int:
    """The bytes of a result as JSON."""
    return len(json.dumps(result))


def check(spec: ModelSpec, result: Any) -> int:
    """The size of one input's result; raises InvalidInput over the spec's `max_result_bytes`."""
    size = size_bytes(result, spec.max_result_bytes)
    if size > spec.max_result_bytes:
        problem = f"made a result of {size:,} bytes; at most {spec.max_result_bytes:,} are allowed"
        raise InvalidInput.because("inputs", problem, limit=spec.max_result_bytes)
    return size


def _bound(value: Any) -> int:
    if isinstance(value, str):
        return 4 + len(value) * (2 if value.isascii() and value.isprintable() else 12)
    if isinstance(value, dict):
        return 4 + sum(_bound(key) + _bound(item) for key, item in value.items())
    if isinstance(value, list):
        if value and type(value[0]) is float and all(type(item) is float for item in value):
            return 4 + _NUMBER_BYTES * len(value)
        return 4 + sum(map(_bound, value))
    return _NUMBER_BYTES + (value.bit_length() // 3 if isinstance(value, int) else 0)
