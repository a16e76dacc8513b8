"""The generation that a message's headers carry: anybody may write there."""

import json
from typing import Any

import pytest

from celery_inference import app, feature_extraction
from celery_inference.sqs.consumer.leases import lease_end
from celery_inference.sqs.consumer.message import Message
from celery_inference.sqs.dead_letters.entry import MAX_GENERATION, requested
from celery_inference.sqs.messages import envelope
from celery_inference.sqs.messages.delivery import Delivery
from celery_inference.sqs.options import TransportOptions
from celery_inference.sqs.transport.channel import Channel
from tasks.execution.request import DeliveryRequest

NONE_OF_OURS: list[Any] = [MAX_GENERATION, 10**30, -1, True, "3", 3.0, None, [3], {"n": 3}]


class Held(Channel):
    options = TransportOptions()

    def __init__(self) -> None:
        pass


def body(generation: Any) -> str:
    headers = {"task": feature_extraction.name, "id": "one", "inference_generation": generation}
    content = {"body": '[["a text"],{},{}]', "content-type": "application/json", "content-encoding": "utf-8"}
    return json.dumps(content | {"headers": headers, "properties": {"delivery_info": {}, "body_encoding": "utf-8"}})


def generation_at_work(generation: Any) -> Any:
    delivery = Delivery("inference", "u", "m", "r", body(generation), {}, {}, lease_end(30))
    message = Message(delivery, envelope.decode(delivery.body), Held())
    request = DeliveryRequest(message, app=app, task=feature_extraction, hostname="here")
    return request._request_dict["inference_generation"]


@pytest.mark.parametrize("generation", NONE_OF_OURS, ids=repr)
def test_what_is_no_generation_is_the_first(generation: Any) -> None:
    assert requested(body(generation)).generation == 0
    assert generation_at_work(generation) == 0


def test_a_generation_is_carried_on() -> None:
    assert requested(body(3)).generation == 3
    assert generation_at_work(3) == 3
