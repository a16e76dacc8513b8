"""The claim check: what does not fit into a message is kept in a store, and the message carries its claim.

That is a whole payload, which the transport swaps for its claim, or one input among others, which an application keeps
once for many requests (`celery_inference/client/uploads.py`).

The claim names an object of the store that is configured here, never a place: a key of hexadecimal digits, its size
and its SHA-256. What a message says can therefore neither reach another store, nor another folder of this one, nor
have other bytes taken for its own. A message whose payload is claimed keeps what others than its worker read of it: its
links and chord, and the model that it asks for.

A payload is removed when its message has been deleted because the work was done, and not before, so that a delivery
that comes again finds it. A dead letter keeps it, copies share it, and what a killed worker leaves behind goes by age,
as inputs do: see `celery_inference.sqs.claim_check.stores`.
"""

import hashlib
import json
import uuid
from dataclasses import asdict
from typing import Any, Protocol

from celery_inference.sqs.errors import MessageTooLargeError, UndecodableError
from celery_inference.sqs.messages.claim import MAX_PAYLOAD_BYTES, PROPERTY, Claim


class ClaimStore(Protocol):
    """Objects by key. Every method blocks, may be called from any thread, and raises ClaimStoreError."""

    def put(self, key: str, payload: bytes) -> None:
        """Keep it."""

    def get(self, key: str, size_bytes: int) -> bytes:
        """The object, which must have that size. Raises ClaimGoneError when there is none."""

    def remove(self, key: str) -> None:
        """Forget it; nothing happens when it is not there."""


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


def _remainder(message: dict[str, Any]) -> str:
    """The payload without its arguments, for those who only look: the reconciler, the index of dead letters,
    commands."""
    if message.get("content-type") != "application/json" or message["properties"].get("body_encoding") != "utf-8":
        return ""
    try:
        _, kwargs, embed = json.loads(message["body"])
        named = {"model": kwargs["model"]} if isinstance(kwargs.get("model"), str) else {}
        return json.dumps([[], named, embed], separators=(",", ":"))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return ""
