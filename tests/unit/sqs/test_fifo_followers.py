"""What waits behind a message of its FIFO group is given back with it, whichever thread settles that one first."""

import hashlib
import json
import queue
import threading
import uuid
from typing import Any

import pytest

from celery_inference.sqs.api.clients import SqsClients, SqsEndpoint
from celery_inference.sqs.claim_check.claim_check import ClaimCheck
from celery_inference.sqs.claim_check.redeemer import Redeemer
from celery_inference.sqs.consumer.consumer import ChannelConsumer
from celery_inference.sqs.consumer.decoder import Decoder
from celery_inference.sqs.consumer.deliveries import HELD
from celery_inference.sqs.consumer.leases import lease_end
from celery_inference.sqs.consumer.message import Message
from celery_inference.sqs.errors import ClaimStoreError
from celery_inference.sqs.messages.delivery import Delivery
from celery_inference.sqs.options import TransportOptions

PAYLOAD = json.dumps([[], {}, {}]).encode()


class Channel:
    options = TransportOptions()
    worker_name = "w"


def delivery(number: int, *, claimed: bool = False) -> Delivery:
    properties: dict[str, Any] = {"delivery_info": {}, "body_encoding": "utf-8"}
    if claimed:
        sha256 = hashlib.sha256(PAYLOAD).hexdigest()
        properties["claim"] = {"key": uuid.uuid4().hex, "size_bytes": len(PAYLOAD), "sha256": sha256}
    body = {
        "body": "[[],{},{}]",
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": "t", "id": str(number)},
        "properties": properties,
    }
    told = {"ApproximateReceiveCount": "1", "MessageGroupId": "g"}
    return Delivery("q.fifo", "u", f"m{number}", f"r{number}", json.dumps(body), {}, told, lease_end(30))


def consuming(calls: list[tuple[str, str]]) -> ChannelConsumer:
    def call(operation: str, *_: Any, **fields: Any) -> Any:
        calls.extend((operation, entry["ReceiptHandle"]) for entry in fields["Entries"])
        return {"Successful": fields["Entries"]}

    clients = SqsClients(SqsEndpoint(url="http://127.0.0.1:9", region="us-east-1", access_key="a", secret_key="b"))
    clients.call = call  # type: ignore[method-assign,assignment]
    ready: Any = queue.SimpleQueue()
    return ChannelConsumer(clients, Channel.options, resolve=lambda _: "u", ready=ready, channel=Channel())


def test_followers_are_given_back_although_another_thread_settles_their_first() -> None:
    calls: list[tuple[str, str]] = []
    group = consuming(calls)
    group.take([delivery(number) for number in range(3)])
    (first,) = group._held.tags(lambda message: message.delivery.message_id == "m0")
    pop = group._held.pop

    def settled_meanwhile(tag: str) -> Message | None:
        group._held.pop = pop  # type: ignore[method-assign]
        group.ack(tag)
        return pop(tag)

    group._held.pop = settled_meanwhile  # type: ignore[method-assign]
    group.reject(first, requeue=True, seconds=0)
    assert group.held == 0
    assert group.flush(10)
    assert sorted(calls) == [
        ("ChangeMessageVisibilityBatch", "r1"),
        ("ChangeMessageVisibilityBatch", "r2"),
        ("DeleteMessageBatch", "r0"),
    ]
    assert HELD._by_tag == {}
    group.close()


class Store:
    """Gives the first payload, or is away for it; the second one's fetch waits for the gate."""

    def __init__(self, *, away: bool) -> None:
        self.gate, self.fetches, self._away, self.gone = threading.Event(), 0, away, False

    def get(self, key: str, size_bytes: int) -> bytes:
        self.fetches += 1
        if self.fetches == 1 and self._away:
            raise ClaimStoreError("s", "away")
        assert self.fetches == 1 or self.gate.wait(60)
        if self.gone:
            raise ClaimStoreError("s", "away by now")
        return PAYLOAD

    def put(self, key: str, payload: bytes) -> None:
        raise AssertionError

    def remove(self, key: str) -> None:
        pass


@pytest.mark.parametrize("away", [False, True], ids=["the first is rejected", "the first one's payload is away"])
def test_followers_whose_payloads_are_still_fetched_do_not_overtake(away: bool) -> None:
    calls: list[tuple[str, str]] = []
    group, store = consuming(calls), Store(away=away)
    group._decoder = Decoder(Redeemer(ClaimCheck(store), lambda: group.stopping), Channel())
    received = [delivery(number, claimed=number < 2) for number in range(3)]
    group._accept(received)
    if not away:
        _, message = group._ready.get(timeout=60)  # type: ignore[attr-defined]
        assert message.delivery.message_id == "m0"
        group.reject(message.delivery.tag, requeue=True, seconds=5)
    store.gate.set()
    assert group._held.wait_until_arrived(60)
    assert group._ready.empty()  # type: ignore[attr-defined]
    assert group.held == 0
    assert group.flush(60)
    assert sorted(calls) == [("ChangeMessageVisibilityBatch", f"r{number}") for number in range(3)]
    assert group._held._order._groups == {}
    assert HELD._by_tag == {}
    group.close()


def test_a_later_receive_of_a_group_follows_a_first_whose_payload_is_away() -> None:
    calls: list[tuple[str, str]] = []
    group, store = consuming(calls), Store(away=False)
    group._decoder = Decoder(Redeemer(ClaimCheck(store), lambda: group.stopping), Channel())
    store.fetches = 1  # the next one waits for the gate
    group._accept([delivery(0, claimed=True)])
    group._accept([delivery(1)])
    assert group.held == 1
    assert group._ready.empty(), "it waits for the first"  # type: ignore[attr-defined]
    store.gone = True
    store.gate.set()
    assert group._held.wait_until_arrived(60)
    assert group.flush(60)
    assert sorted(calls) == [("ChangeMessageVisibilityBatch", f"r{number}") for number in range(2)]
    assert group._held._order._groups == {}
    assert HELD._by_tag == {}
    group.close()


def test_the_next_starts_when_the_first_cannot_be_read() -> None:
    group = consuming([])
    unreadable = delivery(0)
    unreadable.body = "{"
    group._settler.write_dead_letter = group._leases.drop  # type: ignore[method-assign]
    group.take([unreadable, delivery(1)])
    _, message = group._ready.get(timeout=60)  # type: ignore[attr-defined]
    assert message.delivery.message_id == "m1"
    group.ack(message.delivery.tag)
    assert group.flush(60)
    assert group._held._order._groups == {}
    assert HELD._by_tag == {}
    group.close()


def test_nothing_waits_for_a_delivery_that_a_fault_of_ours_has_lost() -> None:
    group = consuming([])
    group._held.take_up = lambda _: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    with pytest.raises(ZeroDivisionError):
        group.take([delivery(0)])
    del group._held.take_up
    group.take([delivery(1)])
    _, message = group._ready.get(timeout=60)  # type: ignore[attr-defined]
    assert message.delivery.message_id == "m1"
    group.close()
    assert HELD._by_tag == {}
