"""What waits behind a message of its FIFO group is given back with it, whichever thread settles that one first."""

import json
import queue
from typing import Any

from sqs.account import Account, Endpoint
from sqs.consuming import Consuming
from sqs.deliveries import HELD, Delivery
from sqs.leases import lease_end
from sqs.message import Message
from sqs.options import Options


class Channel:
    options = Options()
    worker_name = "w"


def delivery(number: int) -> Delivery:
    body = {
        "body": "[[],{},{}]",
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": "t", "id": str(number)},
        "properties": {"delivery_info": {}, "body_encoding": "utf-8"},
    }
    told = {"ApproximateReceiveCount": "1", "MessageGroupId": "g"}
    return Delivery("q.fifo", "u", f"m{number}", f"r{number}", json.dumps(body), {}, told, lease_end(30))


def consuming(calls: list[tuple[str, str]]) -> Consuming:
    def call(operation: str, *_: Any, **fields: Any) -> Any:
        calls.extend((operation, entry["ReceiptHandle"]) for entry in fields["Entries"])
        return {"Successful": fields["Entries"]}

    account = Account(Endpoint(url="http://127.0.0.1:9", region="us-east-1", access_key="a", secret_key="b"))
    account.call = call  # type: ignore[method-assign,assignment]
    ready: Any = queue.SimpleQueue()
    return Consuming(account, Channel.options, resolve=lambda _: "u", ready=ready, channel=Channel())


def test_followers_are_given_back_although_another_thread_settles_their_first() -> None:
    calls: list[tuple[str, str]] = []
    group = consuming(calls)
    group.take([delivery(number) for number in range(3)])
    (first,) = [tag for tag, message in group._held.items() if message.delivery.message_id == "m0"]
    pop = group._pop

    def settled_meanwhile(tag: str) -> Message | None:
        group._pop = pop  # type: ignore[method-assign]
        group.ack(tag)
        return pop(tag)

    group._pop = settled_meanwhile  # type: ignore[method-assign]
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
