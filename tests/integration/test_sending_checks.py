"""What `delay()` checks before it sends, and what it sends: nothing wrong leaves, and a model's deadline goes along."""

import base64
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import chord, group

from celery_inference import feature_extraction, infer
from celery_inference.specs.errors import InvalidInput, UnknownModel, UnknownOption
from celery_inference.sqs.api.client_factory import make_client
from celery_inference.sqs.api.clients import SqsClients
from celery_inference.sqs.lanes import LANES
from celery_inference.sqs.queues.depths import read_depths
from demo.processes import ROOT
from demo.stack import Stack
from tests.support.client import client_of

CATALOGUE = """
[tiny]
task = "feature-extraction"
source = "{folder}"
max_tokens = 20
deadline_seconds = 60
lane = "inference-interactive"

[patient]
task = "feature-extraction"
source = "{folder}"
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("sending")
    catalogue = folder / "models.toml"
    catalogue.write_text(CATALOGUE.format(folder=ROOT / "var" / "models" / "all-minilm-l6-v2"))
    with Stack(folder, catalogue=catalogue) as stack, client_of(stack):
        stack.start_server()
        yield stack


def sqs(stack: Stack) -> Any:
    return make_client(endpoint_url=stack.endpoint, region="us-east-1", access_key="local", secret_key="local")


def received(stack: Stack, lane: str) -> dict[str, Any]:
    """The headers of the next message on the lane, which is deleted."""
    client = sqs(stack)
    url = client.get_queue_url(QueueName=lane)["QueueUrl"]
    (message,) = client.receive_message(QueueUrl=url, WaitTimeSeconds=10)["Messages"]
    client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    body = message["Body"]
    envelope = json.loads(body if body.startswith("{") else base64.b64decode(body))
    headers: dict[str, Any] = envelope["headers"]
    return headers


def seconds_left(headers: dict[str, Any]) -> float:
    return datetime.fromisoformat(headers["expires"]).timestamp() - time.time()


@pytest.mark.parametrize(
    ("args", "kwargs", "error", "sentence"),
    [
        (["cat " * 30], {"model": "tiny"}, InvalidInput, "inputs has 32 tokens; at most 20 are allowed"),
        (["cat"], {"modle": "tiny"}, UnknownOption, 'option "modle" is not known. Did you mean "model"?'),
        ([], {"inptus": "cat"}, UnknownOption, 'argument "inptus" is not known. Did you mean "inputs"?'),
        (["cat"], {"model": "tyni"}, UnknownModel, 'model "tyni" is not known. Did you mean "tiny"?'),
        (["cat"], {"model": "x" * 10**7}, UnknownModel, 'model "' + "x" * 100 + '…" is not known'),
        (["cat"], {"model": 5}, UnknownModel, 'model "5" is not known'),
        ([], {}, TypeError, "missing a required argument: 'inputs'"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_sent(
    stack: Stack, args: list[Any], kwargs: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error) as caught:
        feature_extraction.delay(*args, **kwargs)
    assert sentence in str(caught.value)
    assert len(str(caught.value)) < 300
    assert sum(depth.total for depth in read_depths(sqs(stack), LANES)) == 0


def test_a_misspelt_model_of_infer_is_named_too(stack: Stack) -> None:
    with pytest.raises(UnknownOption, match=r'argument "modell" is not known. Did you mean "model"'):
        infer.delay(inputs="cat", modell="tiny")


def test_a_models_deadline_and_lane_go_with_its_requests_unless_the_caller_has_an_expiry(stack: Stack) -> None:
    lane = "inference-interactive"
    sent = feature_extraction.delay("the cat", model="tiny")
    headers = received(stack, lane)
    assert headers["id"] == sent.id
    assert 0 < seconds_left(headers) <= 60
    feature_extraction.apply_async(["the cat"], {"model": "tiny"}, expires=1000)
    assert 60 < seconds_left(received(stack, lane)) <= 1000
    feature_extraction.delay("the cat", model="patient")
    assert seconds_left(received(stack, "inference")) > 3600


def test_a_request_that_is_held_back_has_its_deadline_after_that(stack: Stack) -> None:
    for held in ({"countdown": 1}, {"eta": datetime.now(UTC) + timedelta(seconds=1)}):
        feature_extraction.apply_async(["the cat"], {"model": "tiny"}, **held)
        sent = time.time()
        headers = received(stack, "inference-interactive")
        expires = datetime.fromisoformat(headers["expires"]).timestamp()
        assert 0 < expires - sent <= 61.5
        assert expires - sent > 30


def waiting(stack: Stack) -> dict[str, int]:
    """How many messages are on each queue that is there."""
    client = sqs(stack)
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed"]
    depths = {
        url: client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        for url in client.list_queues().get("QueueUrls", [])
    }
    return {url: total for url, depth in depths.items() if (total := sum(map(int, depth.values())))}


@pytest.mark.parametrize("bad", ["input", "queue", "size", "nested"])
def test_of_a_canvas_with_a_bad_part_nothing_is_sent(stack: Stack, bad: str) -> None:
    good = [feature_extraction.s("cat", model="patient") for _ in range(3)]
    part = {
        "input": feature_extraction.s("cat " * 30, model="tiny"),
        "queue": feature_extraction.s("cat", model="patient").set(queue="nowhere"),
        "size": feature_extraction.s("cat", model="patient").set(headers={"note": "x" * 1_100_000}),
        "nested": group(feature_extraction.s("dog", model="patient"), feature_extraction.s("cat " * 30, model="tiny")),
    }[bad]
    before = waiting(stack)
    with pytest.raises(Exception, match=r"tokens|nowhere|bytes"):
        group([*good, part]).apply_async()
    with pytest.raises(Exception, match=r"tokens|nowhere|bytes"):
        chord([*good, part], feature_extraction.s(model="patient")).apply_async()
    assert waiting(stack) == before


def test_a_group_is_sent_in_calls_of_ten(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    call = SqsClients.call
    monkeypatch.setattr(
        SqsClients, "call", lambda self, name, *args, **more: (called.append(name), call(self, name, *args, **more))[1]
    )
    result = group(feature_extraction.s(f"cat {n}", model="tiny") for n in range(25)).apply_async()
    assert [name for name in called if name.startswith("Send")] == ["SendMessageBatch"] * 3
    found = [received(stack, "inference-interactive") for _ in range(25)]
    assert {headers["id"] for headers in found} == {part.id for part in result}
    called.clear()
    with feature_extraction.app.producer_or_acquire() as producer:  # somebody's own: nothing waits for its end
        feature_extraction.apply_async(["cat"], {"model": "tiny"}, producer=producer)
        assert [name for name in called if name.startswith("Send")] == ["SendMessage"]
    received(stack, "inference-interactive")
