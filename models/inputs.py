"""Checks a request against its model's spec, in the sender and again in the worker. No torch, no tokenizer.

What it returns is JSON: texts stay texts, media become base64. Checking what it returned gives the same again.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from models.errors import InvalidInput, UnknownOption
from models.spec import ModelSpec

_MEDIA_MAGIC = {
    "image": {
        b"\x89PNG\r\n\x1a\n": "PNG",
        b"\xff\xd8\xff": "JPEG",
    },
}
_ROLES = ("system", "user", "assistant")


def is_many(inputs: object) -> bool:
    """Whether the caller gave a list of inputs, and so gets a list of results. One chat is one input."""
    return isinstance(inputs, (list, tuple)) and not _is_chat(inputs)


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
    checks = {"text": _text, "chat": _chat_or_text}
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
    return sum(len(str(message.get("content", ""))) for message in row)


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


def _is_chat(value: object) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(item, dict) for item in value)


def _chat_or_text(spec: ModelSpec, field: str, value: object) -> Any:
    if isinstance(value, (list, tuple)):
        return _chat(spec, field, list(value))
    return _text(spec, field, value)


def _chat(spec: ModelSpec, field: str, messages: list[Any]) -> list[dict[str, str]]:
    if not messages:
        raise InvalidInput.because(field, "is an empty chat")
    checked = []
    for i, message in enumerate(messages):
        if not isinstance(message, dict) or set(message) != {"role", "content"}:
            raise InvalidInput.because(f"{field}[{i}]", 'must be {"role": …, "content": …}')
        if message["role"] not in _ROLES:
            raise InvalidInput.unknown(f"{field}[{i}] role", str(message["role"]), _ROLES)
        checked.append({"role": message["role"], "content": _text(spec, f"{field}[{i}]", message["content"])})
    characters = sum(len(message["content"]) for message in checked)
    if characters > spec.max_characters:
        raise InvalidInput.too_large(field, characters, spec.max_characters, "characters")
    return checked


def _media(spec: ModelSpec, field: str, value: object) -> str:
    """Bytes or their base64, as base64. A text that is neither is refused: no address and no path ever gets in."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        data = bytes(value)
    elif isinstance(value, str):
        if len(value) > 4 * (spec.max_bytes + 2) // 3 + 4:
            raise InvalidInput.too_large(field, len(value) * 3 // 4, spec.max_bytes, "bytes")
        try:
            data = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise InvalidInput.because(
                field,
                f"must be the {spec.kind.media}'s bytes, or their base64; addresses and paths are not opened",
            ) from None
    else:
        raise InvalidInput.because(
            field, f"must be the {spec.kind.media}'s bytes, or their base64, not {type(value).__name__}"
        )
    if not data:
        raise InvalidInput.because(field, f"is an empty {spec.kind.media}")
    if len(data) > spec.max_bytes:
        raise InvalidInput.too_large(field, len(data), spec.max_bytes, "bytes")
    formats = _MEDIA_MAGIC[spec.kind.media]
    if not data.startswith(tuple(formats)):
        raise InvalidInput.because(
            field, f"is none of {' and '.join(formats.values())}", limit=", ".join(formats.values())
        )
    return base64.b64encode(data).decode("ascii")
