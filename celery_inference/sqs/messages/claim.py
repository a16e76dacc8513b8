"""A claim: the reference to a payload that a message carries instead of it."""

import re
from dataclasses import dataclass
from typing import Any

from celery_inference.sqs.errors import UndecodableError

PROPERTY = "claim"  # of the envelope's properties
MAX_PAYLOAD_BYTES = 64 * 1024 * 1024  # a worker holds several at once
_KEY = re.compile(r"[0-9a-f]{32}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Claim:
    """What a message says of a payload that is kept elsewhere."""

    key: str
    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, properties: dict[str, Any]) -> "Claim | None":
        """The claim in an envelope's properties, if it has one. Raises UndecodableError for what is none."""
        given = properties.get(PROPERTY)
        return None if given is None else cls.read(given)

    @classmethod
    def read(cls, given: object) -> "Claim":
        """The claim that somebody else wrote. Raises UndecodableError for what is none."""
        fields = given if isinstance(given, dict) else {}
        key, size, digest = fields.get("key"), fields.get("size_bytes"), fields.get("sha256")
        if (
            not isinstance(key, str)
            or not isinstance(digest, str)
            or not isinstance(size, int)
            or isinstance(size, bool)
            or not _KEY.fullmatch(key)
            or not _DIGEST.fullmatch(digest)
            or size < 0
        ):
            raise UndecodableError("the claim is none")
        if size > MAX_PAYLOAD_BYTES:
            raise UndecodableError(f"the claim is of {size:,} bytes; at most {MAX_PAYLOAD_BYTES:,} are taken")
        return cls(key, size, digest)
