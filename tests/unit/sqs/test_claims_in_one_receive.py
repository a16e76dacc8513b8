"""Claimed payloads of one receive: each is handed on before the next is fetched, and no receiver waits for them."""

import hashlib
import json
import queue
import threading
import uuid
from typing import Any

from celery_inference.sqs.api.clients import SqsClients, SqsEndpoint
from celery_inference.sqs.claim_check.claim_check import ClaimCheck
from celery_inference.sqs.claim_check.memory_budget import MemoryBudget
from celery_inference.sqs.claim_check.redeemer import Redeemer
from celery_inference.sqs.consumer.consumer import ChannelConsumer
from celery_inference.sqs.consumer.decoder import Decoder
from celery_inference.sqs.consumer.deliveries import HELD
from celery_inference.sqs.consumer.leases import lease_end
from celery_inference.sqs.messages.delivery import Delivery
from celery_inference.sqs.options import TransportOptions

PAYLOAD = json.dumps([[], {"text": "x" * 1_000}, {}]).encode()


class Store:
    """One object under any key, behind a gate."""

    def __init__(self) -> None:
        self.asked, self.gate = threading.Event(), threading.Event()

    def get(self, key: str, size_bytes: int) -> bytes:
        self.asked.set()
        assert self.gate.wait(60)
        return PAYLOAD

    def put(self, key: str, payload: bytes) -> None:
        raise AssertionError

    def remove(self, key: str) -> None:
        pass


class Channel:
    options = TransportOptions()
    worker_name = "w"


def delivery(number: int, claimed: bool) -> Delivery:
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
    counts = {"ApproximateReceiveCount": "1"}
    return Delivery("inference", "u", f"m{number}", f"r{number}", json.dumps(body), {}, counts, lease_end(30))


def consuming_from(store: Store, calls: list[tuple[str, str]]) -> ChannelConsumer:
    def call(operation: str, *_: Any, **fields: Any) -> Any:
        calls.extend((operation, entry["ReceiptHandle"]) for entry in fields["Entries"])
        return {"Successful": fields["Entries"]}

    clients = SqsClients(SqsEndpoint(url="http://127.0.0.1:9", region="us-east-1", access_key="a", secret_key="b"))
    clients.call = call  # type: ignore[method-assign,assignment]
    ready: Any = queue.SimpleQueue()
    consuming = ChannelConsumer(clients, Channel.options, resolve=lambda _: "u", ready=ready, channel=Channel())
    consuming._payloads = Redeemer(ClaimCheck(store), lambda: consuming.stopping)
    consuming._payloads._room = MemoryBudget(3 * len(PAYLOAD))
    consuming._decoder = Decoder(consuming._payloads, Channel())
    return consuming


def test_a_receive_of_more_than_the_room_is_worked_off() -> None:
    store = Store()
    store.gate.set()
    consuming = consuming_from(store, [])
    consuming._accept([delivery(number, claimed=number != 4) for number in range(10)])
    done: list[str] = []
    while len(done) < 10:
        _, message = consuming._ready.get(timeout=60)  # type: ignore[attr-defined]
        done.append(message.delivery.message_id)
        consuming._payloads.let_go(message.delivery)  # as when it is settled
        consuming._leases.drop(message.delivery)
    assert done == ["m4", *(f"m{number}" for number in range(10) if number != 4)], "m4 waits for no store"
    assert HELD._by_tag == {}
    consuming.close()


def test_what_a_hanging_store_still_brings_after_a_stop_is_released() -> None:
    store, calls = Store(), list[tuple[str, str]]()
    consuming = consuming_from(store, calls)
    consuming._accept([delivery(number, claimed=number > 0) for number in range(3)])
    _, message = consuming._ready.get(timeout=60)  # type: ignore[attr-defined]
    assert message.delivery.message_id == "m0"
    assert store.asked.wait(60)
    consuming.stop_receiving()
    store.gate.set()
    assert consuming._held.wait_until_arrived(60)
    assert consuming.flush(60)
    assert sorted(calls) == [("ChangeMessageVisibilityBatch", f"r{number}") for number in range(3)]
    assert consuming._payloads._room._held == 0
    assert HELD._by_tag == {}
    consuming.close()
