"""Who waits until all is settled waits also for what another thread is about to hand to the settler."""

import json
import queue
import threading
from typing import Any

import pytest

from celery_inference.sqs.api.clients import SqsClients, SqsEndpoint
from celery_inference.sqs.consumer.consumer import ChannelConsumer
from celery_inference.sqs.consumer.deliveries import HELD
from celery_inference.sqs.consumer.leases import lease_end
from celery_inference.sqs.messages.delivery import Delivery
from celery_inference.sqs.options import TransportOptions


class Channel:
    options = TransportOptions(delete_messages=False)
    worker_name = "w"


def delivery() -> Delivery:
    body = {
        "body": "[[],{},{}]",
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": "t", "id": "1"},
        "properties": {"delivery_info": {}, "body_encoding": "utf-8"},
    }
    told = {"ApproximateReceiveCount": "1"}
    return Delivery("q", "u", "m", "r", json.dumps(body), {}, told, lease_end(300))


@pytest.mark.parametrize("policy", ["delete", "release", "write_dead_letter"])
def test_a_message_on_its_way_to_the_settler_is_neither_empty_nor_flushed(
    policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients = SqsClients(SqsEndpoint(url="http://127.0.0.1:9", region="us-east-1", access_key="a", secret_key="b"))
    clients.call = lambda *_, **fields: {"Successful": fields["Entries"]}  # type: ignore[method-assign]
    ready: Any = queue.SimpleQueue()
    consuming = ChannelConsumer(clients, Channel.options, resolve=lambda _: "u", ready=ready, channel=Channel())
    one = delivery()
    consuming.take([one])
    (tag,) = consuming._held.tags(lambda _: True)
    begun, gate = threading.Event(), threading.Event()
    settle = getattr(consuming._settler, policy)

    def paused(*given: Any) -> None:
        begun.set()
        assert gate.wait(60)
        settle(*given)

    monkeypatch.setattr(consuming._settler, policy, paused)
    if policy == "delete":
        settling = threading.Thread(target=consuming.ack, args=(tag,))
    else:
        settling = threading.Thread(target=consuming.reject, args=(tag,), kwargs={"requeue": policy == "release"})
    settling.start()
    assert begun.wait(60)
    assert consuming.held == 0
    assert not consuming.wait_until_empty(0.1)
    assert not consuming.flush(0.1)
    gate.set()
    assert consuming.wait_until_empty(60)
    assert consuming.flush(60)
    assert one.done is (policy == "delete")
    settling.join(60)
    assert HELD._by_tag == {}
    consuming.close()
