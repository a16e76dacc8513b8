"""Checks a request against its model's spec, in the sender and again in the worker. No torch, no tokenizer.

What it returns is JSON: texts stay texts, media become base64. Checking what it returned gives the same again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from models import chats, fields
from models.errors import InvalidInput, UnknownOption
from models.media.formats import as_base64
from models.spec import ModelSpec


def is_many(inputs: object) -> bool:
    """Whether the caller gave a list of inputs, and so gets a list of results. One chat is one input."""
    return isinstance(inputs, (list, tuple)) and not chats.is_chat(inputs)


def check(
    spec: ModelSpec, inputs: object, options: Mapping[str, object] | None = None
) -> tuple[list[Any], dict[str, Any]]:
    """The inputs as a list, and the options that were given: both as JSON values.

    Raises InvalidInput for a wrong type, emptiness and everything over the spec's limits; UnknownOption with the
    nearest name. Defaults are not filled in: the device process does that by its own spec.
    """
    rows = list(inputs) if isinstance(inputs, (list, tuple)) and is_many(inputs) else [inputs]
    if not rows:
        raise InvalidInput.because("inputs", "is an empty list")
    if len(rows) > spec.max_inputs:
        raise InvalidInput.too_large("inputs", len(rows), spec.max_inputs, "inputs")
    names = [f"inputs[{i}]" for i in range(len(rows))] if is_many(inputs) else ["inputs"]
    checks = {"text": _text, "chat": _chat_or_text, "fields": _fields}
    one = checks.get(spec.kind.media, _media)
    checked = [one(spec, name, row) for name, row in zip(names, rows, strict=True)], _options(spec, options or {})
    # Once for the message's body, once for the envelope that carries it as a text.
    body = json.dumps(checked, ensure_ascii=False)
    size = len(json.dumps(body, ensure_ascii=False).encode())
    if size > spec.max_request_bytes:
        raise InvalidInput.too_large("inputs", size, spec.max_request_bytes, "bytes in one message")
    return checked


def size_bytes(row: Any) -> int:
    """About how many bytes an input takes in memory and on the way to a device process."""
    if isinstance(row, str):
        return len(row)
    if isinstance(row, dict):
        return sum(size_bytes(part) for part in row.values())
    return sum(size_bytes(part) for part in row) if isinstance(row, list) else 8


def _options(spec: ModelSpec, options: Mapping[str, object]) -> dict[str, Any]:
    checked: dict[str, Any] = {}
    for name, given in options.items():
        if name not in spec.options:
            raise UnknownOption.unknown("option", name, spec.options)
        option = spec.options[name]
        value = list(given) if isinstance(given, tuple) else given
        problem = option.problem_with(value)
        if problem:
            raise InvalidInput.because(f"option {name}", problem, limit=option.maximum)
        checked[name] = value
    for name, option in spec.options.items():
        if option.required and name not in checked:
            raise InvalidInput.because(f"option {name}", "is needed")
    return checked


def _text(spec: ModelSpec, field: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidInput.because(field, f"must be a text, not {type(value).__name__}")
    if not value.strip():
        raise InvalidInput.because(field, "is an empty text")
    if len(value) > spec.max_characters:
        raise InvalidInput.too_large(field, len(value), spec.max_characters, "characters")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise InvalidInput.because(field, "has half a surrogate pair, which is no text") from None
    if size > spec.max_bytes:
        raise InvalidInput.too_large(field, size, spec.max_bytes, "bytes")
    return value


def _chat_or_text(spec: ModelSpec, field: str, value: object) -> Any:
    if isinstance(value, (list, tuple)):
        return chats.check(spec, field, list(value), _text)
    return _text(spec, field, value)


def _media(spec: ModelSpec, field: str, value: object) -> str:
    return as_base64(spec.kind.media, field, value, spec.max_bytes)


def _fields(spec: ModelSpec, field: str, value: object) -> Any:
    if spec.kind.chats and isinstance(value, (list, tuple)):
        return chats.check(spec, field, list(value), _text)
    return fields.check(spec, field, value, _text)
