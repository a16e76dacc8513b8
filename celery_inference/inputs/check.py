"""Checks a request against its model's spec, in the sender and again in the worker. No torch, no tokenizer.

What it returns is JSON: texts stay texts, media become base64 or are claims (`celery_inference.inputs.claims`).
Checking what it
returned gives the same again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from celery_inference.inputs import chats, claims, fields
from celery_inference.inputs.rows import Rows, refused
from celery_inference.specs.errors import InferenceError, InvalidInput, UnknownOption
from celery_inference.specs.model_spec import ModelSpec

_ARGUMENTS = ("inputs", "model", "return_errors")  # that callers misspell, and Celery then takes for options


def is_many(inputs: object) -> bool:
    """Whether the caller gave a list of inputs, and so gets a list of results. One chat is one input."""
    return isinstance(inputs, (list, tuple)) and not chats.is_chat(inputs)


def check_inputs(
    spec: ModelSpec, inputs: object, options: Mapping[str, object] | None = None
) -> tuple[list[Any], dict[str, Any]]:
    """The inputs as a list, and the options that were given: both as JSON values.

    Raises InvalidInput for a wrong type, emptiness and everything over the spec's limits; UnknownOption with the
    nearest name. Defaults are not filled in: the device process does that by its own spec.
    """
    rows, given = check_request(spec, inputs, options)
    return rows.values, given


def check_request(
    spec: ModelSpec, inputs: object, options: Mapping[str, object] | None = None, return_errors: object = False
) -> tuple[Rows, dict[str, Any]]:
    """As `check_inputs`. With `return_errors` what is wrong with one of several inputs is kept, and not raised."""
    many = is_many(inputs)
    rows = Rows(list(inputs) if isinstance(inputs, (list, tuple)) and many else [inputs], many)
    if not isinstance(return_errors, bool):
        raise InvalidInput.because("return_errors", f"must be true or false, not {type(return_errors).__name__}")
    if return_errors and not many:
        raise InvalidInput.because("return_errors", "is for a list of inputs; of one input get() raises the error")
    if not rows.values:
        raise InvalidInput.because("inputs", "is an empty list")
    if len(rows.values) > spec.max_inputs:
        raise InvalidInput.too_large("inputs", len(rows.values), spec.max_inputs, "inputs")
    given = _options(spec, options or {})
    _check_work(spec, len(rows.values), given)
    if return_errors:
        rows.errors = {}
        _keep_refused(rows.values, rows.errors)
    rows.each(lambda row: check_input(spec, row))
    rows.values, given = _as_sent(spec, rows.values, given)
    return rows, given


def check_input(spec: ModelSpec, value: object) -> Any:
    """One input as JSON values. Raises InvalidInput, whose field is "inputs" or begins so."""
    checks = {"text": _text_or_pair, "chat": _chat_or_text, "fields": _fields}
    return checks.get(spec.pipeline_task.media, _media)(spec, "inputs", value)


def _keep_refused(values: list[Any], errors: dict[int, InferenceError]) -> None:
    """The errors of inputs that their sender has refused."""
    for index, value in enumerate(values):
        error = refused(value)
        if error is not None:
            error.index = index
            values[index], errors[index] = None, error


def _check_work(spec: ModelSpec, count: int, options: Mapping[str, Any]) -> None:
    """Two limits on products, because each factor alone may be as large as its own limit."""
    labels = options.get("candidate_labels")
    if labels and count * len(labels) > spec.max_pairs:
        raise InvalidInput.too_large("inputs", count * len(labels), spec.max_pairs, "pairs of a label and an input")
    beams, tokens = _number(spec, options, "num_beams"), _number(spec, options, "max_new_tokens")
    if beams * tokens > spec.max_beam_tokens:
        field = "option num_beams" if beams > 1 else "option max_new_tokens"
        raise InvalidInput.too_large(field, beams * tokens, spec.max_beam_tokens, "beams times new tokens")


def _number(spec: ModelSpec, options: Mapping[str, Any], name: str) -> int:
    """The option that was given, or its default; 1 for what the model does not have."""
    value = spec.in_force(name, options)
    return value if isinstance(value, int) else 1


def _as_sent(spec: ModelSpec, rows: list[Any], options: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Inputs and options as JSON makes them, once they are seen to be no more than a request may be."""
    # Claims count as if their bytes stood here, for there they will. Base64 is plain, and has nothing to escape.
    rest, media = claims.apart(spec, rows)
    media_bytes = claims.base64_bytes(claims.found(spec, rows)) + sum(len(text) for text in media)
    size = media_bytes + _characters([rest, options])
    if size <= spec.max_request_bytes:
        try:
            # Once for the message's body, once for the envelope that carries it as a text.
            body = json.dumps([rest, options], ensure_ascii=False, allow_nan=False)
            size = media_bytes + len(json.dumps(body, ensure_ascii=False).encode())
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidInput.because("inputs", f"cannot be written as JSON: {error}") from None
    if size > spec.max_request_bytes:
        raise InvalidInput.too_large("inputs", size, spec.max_request_bytes, "bytes in a message")
    plain: list[Any] = json.loads(body)
    return claims.together(spec, plain[0], media), plain[1]


def _characters(value: Any) -> int:
    """Of all texts in it: no message that holds them has fewer bytes."""
    if isinstance(value, str):
        return len(value)
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(_characters(part) for part in parts)


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
            raise UnknownOption.unknown("option", name, [*spec.options, *_ARGUMENTS])
        option = spec.options[name]
        value = list(given) if isinstance(given, tuple) else given
        problem = option.problem_with(value)
        if problem:
            allowed = option.choices or None
            raise InvalidInput.because(f"option {name}", problem, limit=option.bound_for(value), allowed=allowed)
        checked[name] = value
    for name, option in spec.options.items():
        if option.required and name not in checked:
            raise InvalidInput.because(f"option {name}", "is needed")
    _refuse_unused(spec, checked)
    return checked


def _refuse_unused(spec: ModelSpec, given: Mapping[str, Any]) -> None:
    """An option that would do nothing beside the others was meant to do something."""
    for name in given:
        other, value = spec.options[name].unused_with or ("", None)
        if other in spec.options and given.get(other, spec.options[other].default) == value:
            problem = f"is not used with {other}={value!r}: give another {other}, or leave {name} out"
            raise InvalidInput.because(f"option {name}", problem)


def _text_or_pair(spec: ModelSpec, field: str, value: object) -> str | dict[str, Any]:
    if isinstance(value, dict) and spec.pipeline_task.fields:
        return fields.check(spec, field, value, _text)
    return _text(spec, field, value)


def _text(spec: ModelSpec, field: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidInput.because(field, f"must be a text, not {type(value).__name__}")
    if len(value) > spec.max_characters:
        raise InvalidInput.too_large(field, len(value), spec.max_characters, "characters")
    if not value.strip():
        raise InvalidInput.because(field, "is an empty text")
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


def _media(spec: ModelSpec, field: str, value: object) -> Any:
    return claims.medium(spec.pipeline_task.media, field, value, spec.max_bytes)


def _fields(spec: ModelSpec, field: str, value: object) -> Any:
    if spec.pipeline_task.chats and isinstance(value, (list, tuple)):
        return chats.check(spec, field, list(value), _text)
    return fields.check(spec, field, value, _text)
