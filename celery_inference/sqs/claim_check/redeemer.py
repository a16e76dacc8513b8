"""Redeeming: a worker's side of the claim check, from a delivery's claim to the end of its payload."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from celery_inference.sqs.api.fault_log import FaultLog
from celery_inference.sqs.claim_check.claim_check import ClaimCheck
from celery_inference.sqs.claim_check.memory_budget import MemoryBudget
from celery_inference.sqs.errors import ClaimStoreError
from celery_inference.sqs.messages import envelope
from celery_inference.sqs.messages.claim import Claim
from celery_inference.sqs.messages.delivery import Delivery

logger = logging.getLogger(__name__)

THREADS = 8  # a store that hangs keeps so many; receivers and messages without a claim never wait for it


class Redeemer:
    """Of one channel's deliveries. Thread-safe. `claims` is None where no store is configured."""

    def __init__(self, claims: ClaimCheck | None, stopping: Callable[[], bool]) -> None:
        self._claims = claims
        self._stopping = stopping
        self._room = MemoryBudget()
        self._faults = FaultLog()
        self._lock = threading.Lock()
        self._waiting: deque[Callable[[], None]] = deque()
        self._threads = 0

    def run(self, job: Callable[[], None]) -> None:
        """Run what redeems in a thread of its own; at most `THREADS` run at once, and end when nothing waits."""
        with self._lock:
            self._waiting.append(job)
            if self._threads < THREADS:
                self._threads += 1
                threading.Thread(target=self._work, name="sqs-redeem", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._threads -= 1
                    return
                job = self._waiting.popleft()
            try:
                job()
            except Exception:
                logger.exception("redeeming claims failed in an unexpected way")

    def redeemed(self, delivery: Delivery, claim: Claim, content: dict[str, Any]) -> dict[str, Any]:
        """A decoded envelope with its payload, which counts as held until `let_go`; waits for room and for the store.

        Raises UndecodableError, and ClaimStoreError, whose message is for others to take.
        """
        try:
            if self._claims is None:
                raise ClaimStoreError("(none)", "a message has a claim, and no store is configured here")
            # One that has lost its lease is delivered again, here too, and must not hold up that delivery.
            if not self._room.take(claim.size_bytes, given_up=lambda: self._stopping() or not delivery.holds()):
                raise ClaimStoreError("(any)", "the process stops, or the message is another's by now")
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
