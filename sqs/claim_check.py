"""The claim check: what does not fit into a message is kept in a store, and the message carries its claim.

That is a whole payload, which the transport swaps for its claim, or one input among others, which an application keeps
once for many requests (`tasks/keeping.py`).

The claim names an object of the store that is configured here, never a place: a key of hexadecimal digits, its size
and its SHA-256. What a message says can therefore neither reach another store, nor another folder of this one, nor
have other bytes taken for its own. A message whose payload is claimed keeps what others than its worker read of it: its
links and chord, and the model that it asks for.

A payload is removed when its message has been deleted because the work was done, and not before, so that a delivery
that comes again finds it. A dead letter keeps it, copies share it, and what a killed worker leaves behind goes by age,
as inputs do: see `sqs.claim_stores`.
"""

import hashlib
import json
import re
import threading
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from sqs.errors import MessageTooLargeError, UndecodableError

PROPERTY = "claim"  # of the envelope's properties
MAX_PAYLOAD_BYTES = 64 * 1024 * 1024  # a worker holds several at once
MAX_HELD_BYTES = 256 * 1024 * 1024  # of redeemed payloads that one process's deliveries hold
_KEY = re.compile(r"[0-9a-f]{32}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class ClaimStore(Protocol):
    """Objects by key. Every method blocks, may be called from any thread, and raises ClaimStoreError."""

    def put(self, key: str, payload: bytes) -> None:
        """Keep it."""

    def get(self, key: str, size_bytes: int) -> bytes:
        """The object, which must have that size. Raises ClaimGoneError when there is none."""

    def remove(self, key: str) -> None:
        """Forget it; nothing happens when it is not there."""


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


class ClaimCheck:
    """Puts payloads into a store and takes them out again."""

    def __init__(self, store: ClaimStore) -> None:
        self._store = store

    def check_in(self, message: dict[str, Any], queue: str) -> dict[str, Any]:
        """The kombu message with a claim in the place of its payload (its `body` already packed).

        Raises MessageTooLargeError and ClaimStoreError.
        """
        payload = str(message["body"]).encode("utf-8", "surrogatepass")
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise MessageTooLargeError(queue, len(payload), MAX_PAYLOAD_BYTES)
        claim = self.put(payload)
        properties = message["properties"] | {PROPERTY: asdict(claim)}
        return message | {"body": _remainder(message), "properties": properties}

    def redeem(self, claim: Claim) -> str:
        """The payload, as it was packed. Raises ClaimGoneError, UndecodableError and ClaimStoreError."""
        return self.get(claim).decode("utf-8", "surrogatepass")

    def put(self, data: bytes) -> Claim:
        """Keep these bytes, under a key that nobody can guess. Raises ClaimStoreError."""
        claim = Claim(uuid.uuid4().hex, len(data), hashlib.sha256(data).hexdigest())
        self._store.put(claim.key, data)
        return claim

    def get(self, claim: Claim) -> bytes:
        """What was kept, and nothing else. Raises ClaimGoneError, UndecodableError and ClaimStoreError."""
        data = self._store.get(claim.key, claim.size_bytes)
        if hashlib.sha256(data).hexdigest() != claim.sha256:
            raise UndecodableError(f"the claimed payload {claim.key} is not the one that was checked in")
        return data

    def remove(self, claim: Claim) -> None:
        """Forget what was kept. Raises ClaimStoreError."""
        self._store.remove(claim.key)


class Room:
    """How many bytes of redeemed payloads a process holds. A larger one than there is room for comes in alone.

    Who came first goes first, so that small ones do not keep a large one out for ever.
    """

    def __init__(self, most_bytes: int = MAX_HELD_BYTES) -> None:
        self._most = most_bytes
        self._held = 0
        self._changed = threading.Condition()
        self._line: deque[object] = deque()

    def take(self, size_bytes: int, given_up: Callable[[], bool], look_seconds: float = 0.2) -> bool:
        """Wait for room; False when it was given up."""
        place = object()
        with self._changed:
            self._line.append(place)
            try:
                while self._line[0] is not place or (self._held and self._held + size_bytes > self._most):
                    if given_up():
                        return False
                    self._changed.wait(look_seconds)
                self._held += size_bytes
                return True
            finally:
                self._line.remove(place)
                self._changed.notify_all()

    def leave(self, size_bytes: int) -> None:
        """The payload is held no more."""
        with self._changed:
            self._held -= size_bytes
            self._changed.notify_all()


def _remainder(message: dict[str, Any]) -> str:
    """The payload without its arguments, for those who only look: sweeps, the index of dead letters, commands."""
    if message.get("content-type") != "application/json" or message["properties"].get("body_encoding") != "utf-8":
        return ""
    try:
        _, kwargs, embed = json.loads(message["body"])
        named = {"model": kwargs["model"]} if isinstance(kwargs.get("model"), str) else {}
        return json.dumps([[], named, embed], separators=(",", ":"))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return ""
