"""Message attributes: checked on the way in, chosen on the way out."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Final

from sqs import limits
from sqs.local.errors import SqsError, invalid, invalid_value, malformed
from sqs.local.fields import encoded_body

Attributes = dict[str, dict[str, str]]

MAX_NAME_CHARACTERS: Final = 256  # SQSDeveloperGuide/sqs-message-metadata
_NAME: Final = re.compile(r"[A-Za-z0-9_.\-]+")
_RESERVED: Final = ("aws.", "amazon.")
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


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
    return attribute["StringValue"]


def chosen(attributes: Attributes, wanted: Sequence[str]) -> Attributes:
    """Those named, by full name, `prefix.*`, or all by `All` and `.*`."""
    if "All" in wanted or ".*" in wanted:
        return attributes
    prefixes = tuple(name[:-1] for name in wanted if name.endswith(".*"))
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
            raise SqsError("UnsupportedOperation", f"Message attribute list values in {unsupported} are not supported.")
    field = "BinaryValue" if kind == "Binary" else "StringValue"
    value = attribute.get(field)
    if value is None or value == "":
        raise invalid(f"The message attribute '{name}' must contain a non-empty value of type {kind}.")
    if not isinstance(value, str):
        raise malformed(f"{field} of the message attribute {name} must be a string.")
    text, size_bytes = _value(name, kind, value)
    return {"DataType": data_type, field: text}, size_bytes + len(data_type.encode())


def _value(name: str, kind: str, value: str) -> tuple[str, int]:
    if kind == "Binary":
        try:
            decoded = b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise malformed(f"BinaryValue of the message attribute {name} is not base64.") from None
        return b64encode(decoded).decode(), len(decoded)
    if kind == "Number" and not _NUMBER.fullmatch(value):
        raise invalid_value(value, name, "Can't cast the value of message attribute to a number.")
    return value, len(encoded_body(value))
