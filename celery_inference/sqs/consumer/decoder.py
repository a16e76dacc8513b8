"""What a delivery turns out to be, as a value: nothing is settled here, and no thread is started."""

from dataclasses import dataclass
from typing import Any

from celery_inference.sqs.claim_check.redeemer import Redeemer
from celery_inference.sqs.consumer.message import Message
from celery_inference.sqs.errors import ClaimStoreError, UndecodableError
from celery_inference.sqs.messages import delays, envelope
from celery_inference.sqs.messages.claim import Claim
from celery_inference.sqs.messages.delivery import Delivery
from celery_inference.sqs.messages.validation import check_headers


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message whose payload is in the claim-check store: `Decoder.redeem` fetches it."""

    claim: Claim
    content: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Postponed:
    """A message whose eta is further away than a worker holds it for."""

    seconds_left: float


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What no worker can read, and why, where it names no request: one that does is a message that says so."""

    error: Exception


@dataclass(frozen=True, slots=True)
class ClaimAway:
    """A message whose payload cannot be fetched now, or not here; another worker may reach the store."""


Decoded = Message | Claimed | Postponed | Unreadable | ClaimAway


class Decoder:
    """Decodes the deliveries of one channel. Thread-safe; raises nothing."""

    def __init__(self, payloads: Redeemer, channel: Any) -> None:
        self._payloads = payloads
        self._channel = channel

    def decode(self, delivery: Delivery) -> Decoded:
        """What the delivery's own bytes say. Does not block."""
        try:
            content = envelope.decode(delivery.body)
            headers = content["headers"]
            check_headers(headers)
            left = delays.seconds_left(headers)
            if left > delays.LONGEST_SECONDS:
                raise UndecodableError(f"header 'eta' is more than {delays.LONGEST_SECONDS // 86_400} days away")
            if left > delays.HOLD_SECONDS and not delivery.queue.endswith(".fifo"):
                return Postponed(left)
            claim = Claim.of(content["properties"])
            return Message(delivery, content, self._channel) if claim is None else Claimed(claim, content)
        except Exception as exc:
            named = envelope.identified(delivery.body)
            return Unreadable(exc) if named is None else self._refused(delivery, named, exc)

    def redeem(self, delivery: Delivery, claimed: Claimed) -> Decoded:
        """The message with its payload: waits for room in memory, and for the store."""
        try:
            content = self._payloads.redeemed(delivery, claimed.claim, claimed.content)
            return Message(delivery, content, self._channel)
        except Exception as exc:
            self._payloads.let_go(delivery)
            delivery.claim = None
            if isinstance(exc, ClaimStoreError):
                return ClaimAway()
            return self._refused(delivery, envelope.identified(delivery.body) or claimed.content, exc)

    def _refused(self, delivery: Delivery, content: dict[str, Any], error: Exception) -> Message:
        message = Message(delivery, content, self._channel)
        message.refuse(error)
        return message
