"""More claimed payloads in one receive than there is room for: each is handed on before the next is fetched."""

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
from celery_inference.sqs.consumer.deliveries import HELD
from celery_inference.sqs.consumer.leases import lease_end
from celery_inference.sqs.messages.delivery import Delivery
from celery_inference.sqs.options import TransportOptions

PAYLOAD = json.dumps([[], {"text": "x" * 1_000}, {}]).encode()


class Store:
    """One object under any key."""

    def get(self, key: str, size_bytes: int) -> bytes:
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


def test_a_receive_of_more_than_the_room_is_worked_off() -> None:
    clients = SqsClients(SqsEndpoint(url="http://127.0.0.1:9", region="us-east-1", access_key="a", secret_key="b"))
    clients.call = lambda *_, **fields: {"Successful": fields.get("Entries", [])}  # type: ignore[method-assign,assignment]
    ready: Any = queue.SimpleQueue()
    consuming = ChannelConsumer(clients, Channel.options, resolve=lambda _: "u", ready=ready, channel=Channel())
    consuming._payloads = Redeemer(ClaimCheck(Store()), lambda: consuming.stopping)
    consuming._payloads._room = MemoryBudget(3 * len(PAYLOAD))
    received = [delivery(number, claimed=number != 4) for number in range(10)]
    receiver = threading.Thread(target=consuming._accept, args=(received,), daemon=True)
    receiver.start()
    done: list[str] = []
    while len(done) < 10:
        _, message = ready.get(timeout=10)
        done.append(message.delivery.message_id)
        consuming._payloads.let_go(message.delivery)  # as when it is settled
        consuming._leases.drop(message.delivery)
    receiver.join(10)
    assert done == [f"m{number}" for number in range(10)]
    assert HELD._by_tag == {}
    consuming._leases.close()
