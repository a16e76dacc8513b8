"""Reads the fields of a request, which may be of any JSON type, and refuses what SQS refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from math import inf
from typing import Any, Final

from celery_inference.sqs_local import limits
from celery_inference.sqs_local.http.errors import ApiError, in_batch, invalid, invalid_value, malformed, missing

Params = Mapping[str, Any]

_FLOATS_FROM: Final = 2.0**63  # integers that orjson reads as these
_QUEUE_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")
_FIFO_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,75}\.fifo")
_BATCH_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")
# API_SendMessage: #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF
REFUSED_CHARACTERS: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_GROUP_OR_DEDUP_ID: Final = re.compile(r"[!-~]{1,128}")


def text(params: Params, name: str) -> str:
    value = params.get(name)
    if value is None or value == "":
        raise missing(name)
    if not isinstance(value, str):
        raise malformed(f"{name} must be a string.")
    return value


def optional_text(params: Params, name: str) -> str | None:
    value = params.get(name)
    if value is not None and not isinstance(value, str):
        raise malformed(f"{name} must be a string.")
    return value


def whole(params: Params, name: str, low: int, high: int) -> int | None:
    """An integer in the range, or None where it is not given."""
    value = params.get(name)
    if value is None:
        return None
    if isinstance(value, float) and _FLOATS_FROM <= abs(value) < inf:
        raise _out_of_range(value, name, low, high)
    if isinstance(value, bool) or not isinstance(value, int):
        raise malformed(f"{name} must be an integer.")
    if not low <= value <= high:
        raise _out_of_range(value, name, low, high)
    return value


def _out_of_range(value: float, name: str, low: int, high: int) -> ApiError:
    """In the words that SQS has for each."""
    wanted = f">= {low} and <= {high}" if name == "WaitTimeSeconds" else f"between {low} and {high}"
    return invalid_value(value, name, f"Must be {wanted}, if provided.")


def texts(params: Params, name: str) -> list[str]:
    value = params.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise malformed(f"{name} must be a list of strings.")
    return value


def text_map(params: Params, *names: str) -> dict[str, str]:
    """The first of the `names` that is given, as a map of strings."""
    for name in names:
        value = params.get(name)
        if value is None:
            continue
        if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
            raise malformed(f"{name} must be a map of strings.")
        return value
    return {}


def queue_name(params: Params, *, fifo: bool | None = None) -> str:
    name = optional_text(params, "QueueName")
    if name is None:
        raise missing("QueueName")
    if fifo is not False and name.endswith(".fifo") and _FIFO_NAME.fullmatch(name):
        return name
    if fifo:
        raise invalid(
            "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end"
            " with .fifo suffix and be 1 to 80 in length."
        )
    if not _QUEUE_NAME.fullmatch(name):
        raise invalid("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
    return name


def queue_of_url(params: Params) -> str:
    return text(params, "QueueUrl").rstrip("/").rpartition("/")[2]


def entries(params: Params, kind: str) -> list[dict[str, Any]]:
    """A batch: 1 to 10 maps with distinct, well-formed ids."""
    value = params.get("Entries")
    if value is not None and not isinstance(value, list):
        raise malformed("Entries must be a list of maps.")
    if not value:
        raise in_batch("EmptyBatchRequest", f"There should be at least one {kind} in the request.")
    if len(value) > limits.MAX_BATCH_ENTRIES:
        most = limits.MAX_BATCH_ENTRIES
        reason = f"Maximum number of entries per request are {most}. You have sent {len(value)}."
        raise in_batch("TooManyEntriesInBatchRequest", reason)
    seen: set[str] = set()
    for entry in value:
        if not isinstance(entry, dict):
            raise malformed("Entries must be a list of maps.")
        id_ = optional_text(entry, "Id")
        if id_ is None:
            raise missing("Id")
        if not _BATCH_ID.fullmatch(id_):
            raise in_batch(
                "InvalidBatchEntryId",
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores."
                " It can be at most 80 letters long.",
            )
        if id_ in seen:
            raise in_batch("BatchEntryIdsNotDistinct", f"Id {id_} repeated.")
        seen.add(id_)
    return value


def encoded_body(body: str) -> bytes:
    """UTF-8; raises ApiError for characters that SQS refuses."""
    if not body.isprintable() and REFUSED_CHARACTERS.search(body):
        raise _invalid_characters()
    return body.encode()


def check_unicode(params: Params) -> None:
    """Half a surrogate pair cannot be written down, wherever in a request it stands."""
    try:
        json.dumps(params, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise _invalid_characters() from None


def _invalid_characters() -> ApiError:
    return ApiError(
        "InvalidMessageContents",
        "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF"
        " | #xE000 to #xFFFD | #x10000 to #x10FFFF",
    )


def group_or_dedup_id(params: Params, name: str) -> str | None:
    value = optional_text(params, name)
    if value is not None and not _GROUP_OR_DEDUP_ID.fullmatch(value):
        reason = f"{name} can only include alphanumeric and punctuation characters. 1 to 128 in length."
        raise invalid_value(value, name, reason)
    return value
