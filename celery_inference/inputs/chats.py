"""Chats: one input, a list of messages, each a role with its content. No torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery_inference.inputs import claims
from celery_inference.specs.errors import InvalidInput
from celery_inference.specs.model_spec import ModelSpec

_ROLES = ("system", "user", "assistant")
_MAX_IMAGES = 8

TextCheck = Callable[[ModelSpec, str, object], str]


def is_chat(value: object) -> bool:
    """Whether it is meant as a chat: a list of objects, some of which have a role or a content."""
    if not isinstance(value, (list, tuple)) or not value or not all(isinstance(item, dict) for item in value):
        return False
    return any("role" in item or "content" in item for item in value)


def check(spec: ModelSpec, field: str, messages: list[Any], text: TextCheck) -> list[dict[str, Any]]:
    """The chat as JSON values. `text` checks a text. Raises InvalidInput.

    A content is a text, and for kinds that see images a list of `{"type": "text", "text"}` and `{"type": "image",
    "image"}`, which is bytes, base64 or a claim: exactly these, because processors open what stands under other names
    ("url", "path").
    """
    if not messages:
        raise InvalidInput.because(field, "is an empty chat")
    if len(messages) > spec.max_characters:  # each has at least one
        raise InvalidInput.too_large(field, len(messages), spec.max_characters, "messages")
    checked = []
    for i, message in enumerate(messages):
        if not isinstance(message, dict) or set(message) != {"role", "content"}:
            raise InvalidInput.because(f"{field}[{i}]", 'must be {"role": …, "content": …}')
        role = message["role"]
        if not isinstance(role, str) or role not in _ROLES:
            raise InvalidInput.unknown(f"{field}[{i}] role", role, _ROLES)
        # An empty system message is a model's way to do without the one that its template would write.
        silent = role == "system" and message["content"] == ""
        content = "" if silent else _content(spec, f"{field}[{i}]", message["content"], text)
        checked.append({"role": str.__str__(role), "content": content})
    _check_size(spec, field, checked)
    return checked


def _content(spec: ModelSpec, field: str, content: object, text: TextCheck) -> Any:
    if not spec.pipeline_task.chats:
        return text(spec, field, content)
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, (list, tuple)) or not content:
        raise InvalidInput.because(field, "must have a text as its content, or a list of parts")
    return [_part(spec, f"{field}[{i}]", part, text) for i, part in enumerate(content)]


def _part(spec: ModelSpec, field: str, part: object, text: TextCheck) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(part, dict) or kind not in ("text", "image") or set(part) != {"type", kind}:
        raise InvalidInput.because(
            field, 'must be {"type": "text", "text": …} or {"type": "image", "image": bytes, base64 or a claim}'
        )
    if kind == "text":
        return {"type": "text", "text": text(spec, field, part["text"])}
    return {"type": "image", "image": claims.medium("image", field, part["image"], spec.max_bytes)}


def _check_size(spec: ModelSpec, field: str, checked: list[dict[str, Any]]) -> None:
    parts = [
        part
        for message in checked
        for part in ([{"text": message["content"]}] if isinstance(message["content"], str) else message["content"])
    ]
    characters = sum(len(part.get("text", "")) for part in parts)
    if characters > spec.max_characters:
        raise InvalidInput.too_large(field, characters, spec.max_characters, "characters")
    images = sum("image" in part for part in parts)
    if images > _MAX_IMAGES:
        raise InvalidInput.too_large(field, images, _MAX_IMAGES, "images")
