"""Redeeming: a worker's side of the claim check, from a delivery's claim to the end of its payload."""

from collections.abc import Callable
from typing import Any

from celery_inference.sqs.api.fault_log import FaultLog
from celery_inference.sqs.claim_check.claim_check import ClaimCheck
from celery_inference.sqs.claim_check.memory_budget import MemoryBudget
from celery_inference.sqs.errors import ClaimStoreError
from celery_inference.sqs.messages import envelope
from celery_inference.sqs.messages.claim import Claim
from celery_inference.sqs.messages.delivery import Delivery


class Redeemer:
    """Of one channel's deliveries. Thread-safe. `claims` is None where no store is configured."""

    def __init__(self, claims: ClaimCheck | None, stopping: Callable[[], bool]) -> None:
        self._claims = claims
        self._stopping = stopping
        self._room = MemoryBudget()
        self._faults = FaultLog()

    def redeemed(self, delivery: Delivery, content: dict[str, Any]) -> dict[str, Any]:
        """A decoded envelope with its payload, wherever that is; waits for room, which keeps a receiver from more.

        Raises UndecodableError, and ClaimStoreError, whose message is for others to take.
        """
        claim = Claim.of(content["properties"])
        if claim is None:
            return content
        try:
            if self._claims is None:
                raise ClaimStoreError("(none)", "a message has a claim, and no store is configured here")
            if not self._room.take(claim.size_bytes, given_up=self._stopping):
                raise ClaimStoreError("(any)", "the process stops")
            delivery.claim = claim
            whole = envelope.with_payload(content, self._claims.redeem(claim))
        except ClaimStoreError as exc:
            self._faults.failed("redeeming claims", exc, "their messages are released")
            raise
        self._faults.succeeded("redeeming claims")
        return whole

    def let_go(self, delivery: Delivery) -> None:
        """The delivery's payload is held no more."""
        if delivery.claim is not None:
            self._room.leave(delivery.claim.size_bytes)

    def remove(self, delivery: Delivery) -> None:
        """Nobody will ask for the payload again. Blocks for a call of the store."""
        if delivery.claim is None or self._claims is None:
            return
        try:
            self._claims.remove(delivery.claim)
        except ClaimStoreError as exc:
            self._faults.failed("removing payloads", exc, "they are left to their store's own limit")
