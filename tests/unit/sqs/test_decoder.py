"""What a delivery turns out to be, as a value: no thread, no channel, no SQS."""

import hashlib
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kombu.exceptions import DecodeError

from celery_inference.sqs.claim_check.claim_check import ClaimCheck
from celery_inference.sqs.claim_check.redeemer import Redeemer
from celery_inference.sqs.consumer.decoder import ClaimAway, Claimed, Decoder, Postponed, Unreadable
from celery_inference.sqs.consumer.leases import lease_end
from celery_inference.sqs.consumer.message import Message
from celery_inference.sqs.errors import ClaimGoneError, ClaimStoreError
from celery_inference.sqs.messages.delivery import Delivery

PAYLOAD = json.dumps([["large"], {}, {}]).encode()
CLAIM = {"key": uuid.uuid4().hex, "size_bytes": len(PAYLOAD), "sha256": hashlib.sha256(PAYLOAD).hexdigest()}


class Store:
    """Gives these bytes, or raises this error."""

    def __init__(self, outcome: bytes | Exception) -> None:
        self._outcome = outcome

    def get(self, key: str, size_bytes: int) -> bytes:
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

    def put(self, key: str, payload: bytes) -> None:
        raise AssertionError

    def remove(self, key: str) -> None:
        raise AssertionError


def decoder(outcome: bytes | Exception | None = None) -> Decoder:
    claims = None if outcome is None else ClaimCheck(Store(outcome))
    return Decoder(Redeemer(claims, lambda: False), channel=None)


def delivery(body: Any = None, *, queue: str = "q", claim: Any = None, **headers: Any) -> Delivery:
    properties: dict[str, Any] = {"delivery_info": {}, "body_encoding": "utf-8"}
    if claim is not None:
        properties["claim"] = claim
    envelope = {
        "body": '[["small"],{},{}]',
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": "t", "id": "1"} | headers,
        "properties": properties,
    }
    text = json.dumps(envelope) if body is None else body
    return Delivery(queue, "u", "m", "r", text, {}, {"ApproximateReceiveCount": "2"}, lease_end(30))


def test_a_message_carries_what_sqs_says_of_it() -> None:
    one = delivery()
    message = decoder().decode(one)
    assert isinstance(message, Message)
    assert message.delivery is one
    assert message.payload == [["small"], {}, {}]
    assert message.delivery_info["redelivered"]


def test_a_far_eta_postpones_except_on_a_fifo_queue_which_delays_no_single_message() -> None:
    eta = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    postponed = decoder().decode(delivery(eta=eta))
    assert isinstance(postponed, Postponed)
    assert 3_000 < postponed.seconds_left <= 3_600
    assert isinstance(decoder().decode(delivery(eta=eta, queue="q.fifo")), Message)


def test_an_eta_behind_the_deadline_postpones_no_further_than_that() -> None:
    now = datetime.now(UTC)
    expires = (now + timedelta(minutes=10)).isoformat()
    postponed = decoder().decode(delivery(eta=(now + timedelta(hours=1)).isoformat(), expires=expires))
    assert isinstance(postponed, Postponed)
    assert postponed.seconds_left <= 600
    over = delivery(eta=(now + timedelta(hours=1)).isoformat(), expires=(now - timedelta(hours=1)).isoformat())
    assert isinstance(decoder().decode(over), Message)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (delivery("no JSON"), "neither JSON nor base64"),
        (delivery("{"), "not JSON"),
        (delivery(id=None), "header 'id'"),
    ],
)
def test_what_no_worker_can_read_says_why(given: Delivery, why: str) -> None:
    found = decoder(PAYLOAD).decode(given)
    assert isinstance(found, Unreadable)
    assert why in str(found.error)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (delivery(claim={"key": "../x"}), "the claim is none"),
        (delivery(eta="some day"), "header 'eta' is not a time"),
        (delivery(eta="9998-01-01T00:00:00"), "header 'eta' is more than 366 days away"),
        (delivery(group=5), "header 'group'"),
    ],
)
def test_what_no_worker_can_read_names_its_request_where_it_can(given: Delivery, why: str) -> None:
    found = decoder(PAYLOAD).decode(given)
    assert isinstance(found, Message)
    assert found.headers["id"] == "1"
    assert why in str(found.unreadable)
    with pytest.raises(DecodeError):
        found.decode()


def test_a_claimed_payload_is_fetched_in_a_step_of_its_own() -> None:
    one, decode = delivery(claim=CLAIM), decoder(PAYLOAD)
    claimed = decode.decode(one)
    assert isinstance(claimed, Claimed)
    assert one.claim is None, "nothing is held yet"
    message = decode.redeem(one, claimed)
    assert isinstance(message, Message)
    assert message.payload == [["large"], {}, {}]
    assert one.claim == claimed.claim


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (None, ClaimAway),
        (ClaimStoreError("s", "away"), ClaimAway),
        (ClaimGoneError("k"), Message),
        (b"x" * len(PAYLOAD), Message),
        (ZeroDivisionError(), Message),
    ],
    ids=["no store here", "store away", "gone", "another", "a fault"],
)
def test_a_payload_that_cannot_be_had_is_away_or_unreadable_and_takes_no_room(
    outcome: bytes | Exception | None, expected: type
) -> None:
    one, decode = delivery(claim=CLAIM), decoder(outcome)
    claimed = decode.decode(one)
    assert isinstance(claimed, Claimed)
    found = decode.redeem(one, claimed)
    assert isinstance(found, expected)
    assert not isinstance(found, Message) or found.unreadable is not None
    assert decode._payloads._room._held == 0
