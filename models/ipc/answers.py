"""Answers on their way from a device process to its parent: how large they are, and vectors as bytes.

Results are JSON in a store that has limits of its own, so they are measured before anybody has to carry them.
Vectors travel as bytes, because as decimal digits they cost more than the rest: written as JSON and read again, an
embedding of 384 numbers takes 0.3 ms of both processes together; as base64 of its bytes 0.02 ms. Nothing is lost: four
bytes a number where those say exactly the same, as in what a model in float32 gives, and eight otherwise.
"""

from __future__ import annotations

import base64
import json
from array import array
from collections.abc import Mapping
from typing import Any

from celery_inference.specs.errors import InvalidInput
from celery_inference.specs.model_spec import ModelSpec

LEAST = 16  # numbers, below which it is not worth it
_NUMBER_BYTES = 26  # the longest that a float64 is written, and a separator
_KINDS = {"float32": "f", "float64": "d"}


def size_bytes(result: Any, limit: int) -> int:
    """The bytes of a result as JSON, exactly where they may pass the limit and as an upper bound where they do not.

    Writing it down to measure it would double the work of every answer; counting is some ten times faster.
    """
    bound = _bound(result)
    return bound if bound <= limit else exact_bytes(result)


def exact_bytes(result: Any) -> int:
    """The bytes of a result as JSON."""
    return len(json.dumps(result))


def check_size(spec: ModelSpec, result: Any) -> int:
    """The size of one input's result; raises InvalidInput over the spec's `max_result_bytes`."""
    size = size_bytes(result, spec.max_result_bytes)
    if size > spec.max_result_bytes:
        problem = f"made a result of {size:,} bytes; at most {spec.max_result_bytes:,} are allowed"
        raise InvalidInput.because("inputs", problem, limit=spec.max_result_bytes)
    return size


def packed(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """The answer, with `float32` or `float64` in place of `ok` where that is a plain list of floats."""
    result = answer.get("ok")
    if type(result) is not list or len(result) < LEAST or not all(type(number) is float for number in result):
        return answer
    for name, code in _KINDS.items():
        try:
            numbers = array(code, result)
        except OverflowError:  # beyond float32
            continue
        if code == "d" or numbers.tolist() == result:
            rest = {key: value for key, value in answer.items() if key != "ok"}
            return {name: base64.b64encode(numbers.tobytes()).decode("ascii"), **rest}
    return answer


def unpacked(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """The answer that `packed` was given. Both ends are processes of one machine, and so of one order of bytes."""
    for name, code in _KINDS.items():
        if name in answer:
            numbers = array(code)
            numbers.frombytes(base64.b64decode(answer[name]))
            rest = {key: value for key, value in answer.items() if key != name}
            return {"ok": numbers.tolist(), **rest}
    return answer


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
