"""The AWS JSON 1.0 protocol, of today's SDKs: the operation in a header, fields and answers as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from celery_inference.sqs_local.http import json_codec, validation
from celery_inference.sqs_local.http.errors import ApiError, malformed
from celery_inference.sqs_local.http.server import Request

_HEADERS: Final = b"Content-Type: application/x-amz-json-1.0\r\nx-amzn-RequestId: %b\r\n"
_TARGET: Final = "AmazonSQS."


def parsed(request: Request) -> tuple[str, dict[str, Any]]:
    """Operation and fields. Raises ApiError."""
    target = request.headers.get("x-amz-target", "")
    if not target.startswith(_TARGET):
        raise ApiError("InvalidAction", "The header X-Amz-Target must name an operation of AmazonSQS.")
    body = request.body
    try:
        params = json_codec.decode(body) if body else {}
        if b"\\" in body and (b"\\ud" in body or b"\\uD" in body):
            validation.check_unicode(params)
    except (ValueError, RecursionError):
        if body.strip():
            raise malformed("The request is not JSON.") from None
        params = {}
    if not isinstance(params, dict):
        raise malformed("The request must be a JSON object.")
    return target[len(_TARGET) :], params


def shown(answer: Mapping[str, Any], request_id: str) -> tuple[bytes, bytes]:
    """Headers and body."""
    return _HEADERS % request_id.encode(), json_codec.encode(answer)


def shown_error(error: ApiError, request_id: str) -> tuple[bytes, bytes]:
    fault = "Receiver" if error.receiver_fault else "Sender"
    header = f"x-amzn-query-error: {error.query_code};{fault}\r\n".encode()
    body = json_codec.encode({"__type": error.type, "message": error.message})
    return header + _HEADERS % request_id.encode(), body
