"""The text that is an SQS message's body: kombu's envelope as one JSON object, readable by stock workers.

{"body": …, "content-type": …, "content-encoding": …, "headers": {…}, "properties": {…}}

Text payloads (JSON, YAML) ride in `body` as they are, with `body_encoding` "utf-8"; only binary ones
(msgpack, pickle, compressed) are base64. Stock kombu encodes the payload and then the envelope again, which
makes 1.8 bytes of one; both of its forms are read here.
"""

import base64
import binascii
import json
import re
from typing import Any

from celery_inference.sqs.errors import UndecodableError

# XML 1.0 characters are all that SQS takes in a body:
# docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# What says which request a message is, and what waits for it.
_IDENTITY = ("id", "task", "root_id", "parent_id", "group")
MAX_ID_CHARACTERS = 255
_ENCODINGS = (None, "utf-8", "base64")


def pack_body(body: str | bytes) -> tuple[str, str]:
    """A serialized payload as text and the name of its encoding, "utf-8" or "base64"."""
    if isinstance(body, str):
        return body, "utf-8"
    try:
        return bytes(body).decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return base64.b64encode(body).decode("ascii"), "base64"


def unescape(payload: str) -> str:
    """A JSON payload with its characters as they are: escaped ones cost six or seven bytes instead of two or three.

    Returned as it is where there is nothing to win, or where UTF-8 cannot say it.
    """
    if "\\u" not in payload:
        return payload
    try:
        text = json.dumps(json.loads(payload), ensure_ascii=False, separators=(",", ":"))
    except (ValueError, RecursionError):
        return payload
    return payload if _FORBIDDEN.search(text) else text


def encode(message: dict[str, Any]) -> str:
    """The SQS body of a kombu message (its `body` already packed).

    Raises UndecodableError for what JSON cannot express.
    """
    try:
        text = json.dumps(message, ensure_ascii=False, separators=(",", ":"), default=_plain)
    except (TypeError, ValueError) as exc:
        raise UndecodableError(f"the message's headers or properties are not JSON: {exc}") from exc
    if _FORBIDDEN.search(text):
        # json.dumps escapes control characters; what is left are lone surrogates and noncharacters.
        text = json.dumps(message, separators=(",", ":"), default=_plain)
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("utf-8")
    isoformat = getattr(value, "isoformat", None)
    if isoformat is not None:
        return isoformat()
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    return str(value)


def decode(text: str) -> dict[str, Any]:
    """The envelope in an SQS body, of ours or of a stock producer; its `body` is unpacked to bytes.

    Raises UndecodableError, whose text says what is wrong, for every other text.
    """
    envelope = parsed(text)
    properties = envelope.get("properties")
    if not isinstance(properties, dict):
        raise UndecodableError("the envelope has no properties")
    if not isinstance(properties.setdefault("delivery_info", {}), dict):
        raise UndecodableError("the envelope's delivery_info is not an object")
    headers = envelope.get("headers")
    if headers is None:
        envelope["headers"] = {}
    elif not isinstance(headers, dict):
        raise UndecodableError("the envelope's headers are not an object")
    for name in ("content-type", "content-encoding"):
        if not isinstance(envelope.get(name), str | None):
            raise UndecodableError(f"the envelope's {name} is not text")
    if not isinstance(headers.get("compression") if headers else None, str | None):
        raise UndecodableError("the envelope's compression is not text")
    envelope["body"] = _unpack_body(envelope.get("body"), properties.get("body_encoding"))
    return envelope


def identified(text: str) -> dict[str, Any] | None:
    """What can be read of an SQS body that `decode` refuses: the names in its headers, its body if that can be
    unpacked, and nothing else. None where it names no request.
    """
    try:
        envelope = parsed(text)
        headers = {name: envelope["headers"].get(name) for name in _IDENTITY}
    except (UndecodableError, LookupError, AttributeError, TypeError):
        return None
    if not isinstance(headers["id"], str) or not 0 < len(headers["id"]) <= MAX_ID_CHARACTERS:
        return None
    task = headers["task"] if isinstance(headers["task"], str) else "unknown"
    named = {name: value for name, value in headers.items() if isinstance(value, str)} | {"task": task}
    properties = envelope.get("properties")
    try:
        body = _unpack_body(envelope.get("body"), properties.get("body_encoding") if properties else None)
    except (UndecodableError, AttributeError):
        body = b""
    return {"body": body, "headers": named, "properties": {"delivery_info": {}}}


def with_payload(envelope: dict[str, Any], payload: str) -> dict[str, Any]:
    """A decoded envelope whose packed payload was kept elsewhere. Raises UndecodableError."""
    return envelope | {"body": _unpack_body(payload, envelope["properties"].get("body_encoding"))}


def parsed(text: str) -> dict[str, Any]:
    """The JSON object that an SQS body is, in plain text or in base64; raises UndecodableError."""
    stripped = text.lstrip()
    if not stripped.startswith("{"):
        try:
            stripped = base64.b64decode(stripped.rstrip(), validate=True).decode("utf-8")
        except (binascii.Error, ValueError):
            raise UndecodableError("the body is neither JSON nor base64 of it") from None
    try:
        envelope = json.loads(stripped)
    except (ValueError, RecursionError) as exc:
        raise UndecodableError(f"the body is not JSON: {exc}") from None
    if not isinstance(envelope, dict):
        raise UndecodableError("the body is not a JSON object")
    return envelope


def _unpack_body(body: Any, encoding: Any) -> bytes:
    if not isinstance(body, str):
        raise UndecodableError("the envelope has no body")
    if encoding not in _ENCODINGS and str(encoding).lower() != "utf-8":
        raise UndecodableError(f"unknown body_encoding {encoding!r}")
    try:
        return base64.b64decode(body, validate=True) if encoding == "base64" else body.encode("utf-8")
    except (binascii.Error, ValueError) as exc:
        raise UndecodableError(f"the envelope's body is not {encoding or 'utf-8'}: {exc}") from None
