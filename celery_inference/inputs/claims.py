"""Claims: what stands in a request for a medium whose bytes are kept elsewhere. No torch, and no store.

    {"claim": {"key": 32 hexadecimal digits, "size_bytes": 1 or more, "sha256": 64 hexadecimal digits}}

Such an object may stand wherever a medium's bytes may, and nowhere else; it says nothing of a place. Who keeps the
bytes makes it, and puts them back before the engine sees the request, so that all that holds for bytes holds for them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from celery_inference.inputs.media_formats import as_base64
from celery_inference.specs.errors import InvalidInput, shown
from celery_inference.specs.model_spec import ModelSpec

WORD = "claim"
_NO_MEDIA = ("text", "chat")  # kinds' inputs of which no part is one
_FIELDS = {"key", "size_bytes", "sha256"}
_KEY = re.compile(r"[0-9a-f]{32}")
_DIGEST = re.compile(r"[0-9a-f]{64}")

Claimed = dict[str, Any]  # what stands under the word
Identity = tuple[str, int, str]


def medium(what: str, field: str, value: object, max_bytes: int) -> str | dict[str, Claimed]:
    """A medium as a message carries it: base64, or a claim. Raises InvalidInput."""
    if isinstance(value, dict) and WORD in value:
        return {WORD: checked(field, value, max_bytes)}
    return as_base64(what, field, value, max_bytes)


def checked(field: str, value: object, max_bytes: int) -> Claimed:
    """The claim in an object that is meant as one. Raises InvalidInput."""
    claim = value.get(WORD) if isinstance(value, dict) and set(value) == {WORD} else None
    if not isinstance(claim, dict) or set(claim) != _FIELDS:
        raise InvalidInput.because(field, f'must be as keep() made it: {{"{WORD}": {{"key", "size_bytes", "sha256"}}}}')
    key, size, digest = claim["key"], claim["size_bytes"], claim["sha256"]
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise InvalidInput.because(field, f'has a {WORD} whose "key" is not 32 hexadecimal digits')
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise InvalidInput.because(field, f'has a {WORD} whose "sha256" is not 64 hexadecimal digits')
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise InvalidInput.because(field, f'has a {WORD} whose "size_bytes" is no whole number above 0')
    if size > max_bytes:
        problem = f"claims {shown(size)} bytes; at most {max_bytes:,} are allowed"
        raise InvalidInput.because(field, problem, limit=max_bytes)
    return {"key": str.__str__(key), "size_bytes": size, "sha256": str.__str__(digest)}


def found(spec: ModelSpec, rows: list[Any]) -> list[tuple[str, Claimed]]:
    """Each claim in inputs that `celery_inference.inputs.check.check_inputs` returned, with the field that it stands
    in."""
    claims: list[tuple[str, Claimed]] = []
    if spec.pipeline_task.media in _NO_MEDIA:
        return claims

    def note(field: str, value: Any) -> Any:
        if isinstance(value, dict):
            claims.append((field, value[WORD]))
        return value

    for i, row in enumerate(rows):
        _each_medium(spec, f"inputs[{i}]" if len(rows) > 1 else "inputs", row, note)
    return claims


def identity(claim: Claimed) -> Identity:
    """What two claims of the same bytes have in common; a key alone proves nothing of a digest."""
    return claim["key"], claim["size_bytes"], claim["sha256"]


def with_bytes(spec: ModelSpec, row: Any, kept: Mapping[Identity, bytes | str]) -> Any:
    """The input with the bytes of each claim in its place. It is to be checked again: nobody has seen them yet.

    Raises InvalidInput for a claim that has a sentence's end in place of its bytes.
    """

    def swap(field: str, value: Any) -> Any:
        found = kept[identity(value[WORD])] if isinstance(value, dict) else value
        if isinstance(value, dict) and isinstance(found, str):
            raise InvalidInput.because(field, found)
        return found

    return _each_medium(spec, "inputs", row, swap)


def apart(spec: ModelSpec, rows: list[Any]) -> tuple[list[Any], list[str]]:
    """Checked inputs without their base64, and that, in its order: it is long, and need not be looked at again."""
    media: list[str] = []
    if spec.pipeline_task.media in _NO_MEDIA:
        return rows, media

    def take(_: str, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        media.append(value)
        return ""  # which no medium is

    return [_each_medium(spec, "", row, take) for row in rows], media


def together(spec: ModelSpec, rows: list[Any], media: list[str]) -> list[Any]:
    """What `apart` took apart."""
    rest = iter(media)
    return rows if not media else [_each_medium(spec, "", row, lambda _, value: value or next(rest)) for row in rows]


def base64_bytes(claims: list[tuple[str, Claimed]]) -> int:
    """How many bytes they come to when they are there, as base64."""
    return sum(4 * ((claim["size_bytes"] + 2) // 3) for _, claim in claims)


def _each_medium(spec: ModelSpec, field: str, row: Any, change: Callable[[str, Any], Any]) -> Any:
    """A checked input with `change` made to each place where it has a medium; its texts and other parts stay."""
    pipeline_task = spec.pipeline_task
    if row is None:  # it has failed by itself
        return None
    if pipeline_task.media in ("image", "audio", "video"):
        return change(field, row)
    if pipeline_task.media != "fields":
        return row
    if isinstance(row, list):
        return [{**message, "content": _parts(f"{field}[{i}]", message, change)} for i, message in enumerate(row)]
    media = {name.rstrip("?") for name, what in pipeline_task.fields.items() if what == "image"}
    return {name: change(f"{field} {name}", part) if name in media else part for name, part in row.items()}


def _parts(field: str, message: Mapping[str, Any], change: Callable[[str, Any], Any]) -> list[Any]:
    """The parts of a message of a chat that may hold images."""
    return [
        {**part, "image": change(f"{field}[{i}]", part["image"])} if part["type"] == "image" else part
        for i, part in enumerate(message["content"])
    ]
