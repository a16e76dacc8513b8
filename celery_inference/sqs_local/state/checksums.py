"""The MD5 sums by which SDKs check what arrived (SQSDeveloperGuide/sqs-message-metadata)."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from hashlib import md5
from struct import pack


def of_body(encoded: bytes) -> str:
    return md5(encoded, usedforsecurity=False).hexdigest()


def of_attributes(attributes: Mapping[str, Mapping[str, str]]) -> str:
    """Attributes in name order; each name, type and value with its length before it, as 4 bytes big-endian."""
    digest = md5(usedforsecurity=False)
    for name in sorted(attributes):
        attribute = attributes[name]
        for text in (name, attribute["DataType"]):
            encoded = text.encode()
            digest.update(pack(">I", len(encoded)) + encoded)
        binary = "BinaryValue" in attribute
        value = b64decode(attribute["BinaryValue"]) if binary else attribute["StringValue"].encode()
        digest.update(pack(">BI", 2 if binary else 1, len(value)) + value)
    return digest.hexdigest()
