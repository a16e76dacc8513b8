"""Message attributes: checked on the way in, chosen on the way out."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Final

from celery_inference.sqs_local import limits
from celery_inference.sqs_local.http.errors import ApiError, invalid, invalid_value, malformed
from celery_inference.sqs_local.http.validation import encoded_body

Attributes = dict[str, dict[str, str]]

MAX_NAME_CHARACTERS: Final = 256  # SQSDeveloperGuide/sqs-message-metadata
_NAME: Final = re.compile(r"[A-Za-z0-9_.\-]+")
_RESERVED: Final = ("aws.", "amazon.")
_MAX_TRACE_HEADER_CHARACTERS: Final = 256  # of AWS X-Ray's, some 100 are needed; each message of a batch has a copy
_MAX_GIVEN_TRACE_HEADER_CHARACTERS: Final = 4_096  # its size counts for no other limit
_ALL: Final = frozenset(("All", ".*", "*"))
_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
# SQSDeveloperGuide/sqs-message-metadata: "up to 38 digits of precision, and it can be between 10^-128 and 10^+126"
_MAX_DIGITS: Final = 38
_SMALLEST, _GREATEST = Decimal("1e-128"), Decimal("1e126")


def checked(value: object) -> tuple[Attributes | None, int]:
    """The attributes, None where there are none, and their size in bytes: names, types and values."""
    if value is None or value == {}:
        return None, 0
    if not isinstance(value, dict):
        raise malformed("MessageAttributes must be a map.")
    if len(value) > limits.MAX_MESSAGE_ATTRIBUTES:
        most = limits.MAX_MESSAGE_ATTRIBUTES
        raise invalid(f"Number of message attributes [{len(value)}] exceeds the allowed maximum [{most}].")
    size_bytes = 0
    attributes: Attributes = {}
    for name, attribute in value.items():
        _check_name(name)
        attributes[name], bytes_ = _checked_one(name, attribute)
        size_bytes += len(name.encode()) + bytes_
    return attributes, size_bytes


def trace_header(value: object) -> str | None:
    """MessageSystemAttributes knows one name (API_SendMessage); its size does not count."""
    if value is None or value == {}:
        return None
    if not isinstance(value, dict):
        raise malformed("MessageSystemAttributes must be a map.")
    for name in value:
        if name != "AWSTraceHeader":
            raise invalid(f"Message system attribute name '{name}' is invalid.")
    attribute, _ = _checked_one("AWSTraceHeader", value["AWSTraceHeader"])
    if attribute["DataType"] != "String":
        raise invalid("Message system attribute 'AWSTraceHeader' must be of type String.")
    if len(attribute["StringValue"]) > _MAX_GIVEN_TRACE_HEADER_CHARACTERS:
        reason = f"must be at most {_MAX_GIVEN_TRACE_HEADER_CHARACTERS} characters long"
        raise invalid(f"Message system attribute 'AWSTraceHeader' {reason}.")
    return attribute["StringValue"]


def trace_header_of_request(headers: Mapping[str, str]) -> str | None:
    """What a request's X-Amzn-Trace-Id gives to messages without a trace header of their own, if it is one."""
    header = headers.get("x-amzn-trace-id")
    if header is None or len(header) > _MAX_TRACE_HEADER_CHARACTERS or not (header.isascii() and header.isprintable()):
        return None
    return header or None


def chosen(attributes: Attributes, wanted: Sequence[str]) -> Attributes:
    """Those named, by full name or `prefix.*` (the dot is no part of the prefix), or all by `All`, `.*` and `*`."""
    if not _ALL.isdisjoint(wanted):
        return attributes
    prefixes = tuple(name[:-2] for name in wanted if name.endswith(".*"))
    return {
        name: attribute
        for name, attribute in attributes.items()
        if name in wanted or (prefixes and name.startswith(prefixes))
    }


def _check_name(name: str) -> None:
    if len(name) > MAX_NAME_CHARACTERS:
        raise invalid(f"Message (user) attribute name must be shorter than {MAX_NAME_CHARACTERS} bytes.")
    dots = name.startswith(".") or name.endswith(".") or ".." in name
    if not _NAME.fullmatch(name) or dots or name.lower().startswith(_RESERVED):
        raise invalid(f"The message attribute name '{name}' is invalid.")


def _checked_one(name: str, attribute: object) -> tuple[dict[str, str], int]:
    if not isinstance(attribute, dict):
        raise malformed(f"The message attribute {name} must be a map.")
    data_type = attribute.get("DataType")
    if not isinstance(data_type, str) or not data_type:
        raise invalid(f"The message attribute '{name}' must contain a non-empty message attribute type.")
    kind = data_type.partition(".")[0]
    if kind not in ("String", "Number", "Binary") or len(data_type) > MAX_NAME_CHARACTERS:
        raise invalid(
            f"The message attribute '{name}' has an invalid message attribute type, the set of supported type"
            " prefixes is Binary, Number, and String."
        )
    for unsupported in ("StringListValues", "BinaryListValues"):
        if attribute.get(unsupported):
            raise ApiError("UnsupportedOperation", f"Message attribute list values in {unsupported} are not supported.")
    field = "BinaryValue" if kind == "Binary" else "StringValue"
    value = attribute.get(field)
    if value is None or value == "":
        raise invalid(f"Message (user) attribute '{name}' must contain a non-empty value of type '{kind}'.")
    if not isinstance(value, str):
        raise malformed(f"{field} of the message attribute {name} must be a string.")
    text, size_bytes = _value(name, kind, value)
    return {"DataType": data_type, field: text}, size_bytes + len(_encoded(data_type))


def _value(name: str, kind: str, value: str) -> tuple[str, int]:
    if kind == "Binary":
        try:
            decoded = b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise malformed(f"BinaryValue of the message attribute {name} is not base64.") from None
        return b64encode(decoded).decode(), len(decoded)
    if kind == "Number" and not _is_number(value):
        raise invalid_value(value, name, "Can't cast the value of message attribute to a number.")
    return value, len(_encoded(value))


def _encoded(text: str) -> bytes:
    """UTF-8, of what bodies may hold; another error than theirs refuses the rest."""
    try:
        return encoded_body(text)
    except ApiError as error:
        raise invalid(error.message) from None


def _is_number(text: str) -> bool:
    if not _NUMBER.fullmatch(text):
        return False
    digits = text.lower().partition("e")[0].replace(".", "").strip("+-").strip("0")
    if not digits:
        return True
    try:
        return len(digits) <= _MAX_DIGITS and _SMALLEST <= Decimal(text).copy_abs() <= _GREATEST
    except InvalidOperation:  # of an exponent that no Decimal has
        return False
