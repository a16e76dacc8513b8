"""The text that is a message's body."""

import base64
import json
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kombu.exceptions import ContentDisallowed, DecodeError

from celery_inference.sqs.consumer.message import Message
from celery_inference.sqs.dead_letters.writer import dead_letter_parameters
from celery_inference.sqs.errors import UndecodableError
from celery_inference.sqs.messages.delivery import Delivery
from celery_inference.sqs.messages.envelope import decode, encode, pack_body, unescape
from celery_inference.sqs.messages.reason import REASON_LIMIT_BYTES, Reason
from celery_inference.sqs.messages.size import message_bytes
from celery_inference.sqs.messages.validation import check_headers

TEXT = st.text(st.characters(codec="utf-8"), max_size=200)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def delivery(body: str, **given: Any) -> Delivery:
    return Delivery("work", "url", "id", "receipt", body, given.pop("attributes", {}), {}, lease_ends=1e12, **given)


@given(JSON)
def test_a_payload_survives_the_way_there_and_back(payload: Any) -> None:
    body, encoding = pack_body(json.dumps(payload))
    text = encode(
        {
            "body": unescape(body),
            "properties": {"body_encoding": encoding},
            "headers": {},
            "content-type": "application/json",
        }
    )
    assert json.loads(decode(text)["body"]) == payload


@given(st.binary(max_size=300))
def test_binary_payloads_survive(payload: bytes) -> None:
    body, encoding = pack_body(payload)
    assert decode(encode({"body": body, "properties": {"body_encoding": encoding}}))["body"] == payload


@given(st.text(max_size=50))
def test_every_body_is_made_of_characters_that_sqs_takes(text: str) -> None:
    body, encoding = pack_body(json.dumps([text]))
    encoded = encode({"body": unescape(body), "properties": {"body_encoding": encoding}, "headers": {"x": text}})
    assert all(
        sign in "\t\n\r" or " " <= sign <= "\ud7ff" or "\ue000" <= sign <= "\ufffd" or sign > "\uffff"
        for sign in encoded
    )
    encoded.encode("utf-8")


def test_both_forms_of_stock_producers_are_read() -> None:
    payload = b"[[], {}, {}]"
    envelope = {"body": base64.b64encode(payload).decode(), "properties": {"body_encoding": "base64"}}
    plain = json.dumps(envelope)
    assert decode(plain)["body"] == payload
    assert decode(base64.b64encode(plain.encode()).decode())["body"] == payload


PLAUSIBLE = st.fixed_dictionaries(
    {},
    optional={
        "body": JSON | st.just("[[], {}, {}]"),
        "content-type": JSON
        | st.sampled_from(["application/json", "application/x-python-serialize", "application/x-yaml"]),
        "content-encoding": JSON | st.sampled_from(["utf-8", "binary"]),
        "headers": JSON
        | st.fixed_dictionaries(
            {"task": JSON, "id": JSON}, optional={"eta": JSON, "timelimit": JSON, "compression": JSON, "stamps": JSON}
        ),
        "properties": JSON
        | st.fixed_dictionaries({}, optional={"body_encoding": JSON | st.just("utf-8"), "delivery_info": JSON}),
    },
).map(json.dumps)
NOISE = st.text(st.characters(codec="utf-8"), max_size=400) | st.binary(max_size=300).map(
    lambda raw: base64.b64encode(raw).decode()
)


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(PLAUSIBLE | PLAUSIBLE.map(lambda text: base64.b64encode(text.encode()).decode()) | JSON.map(json.dumps) | NOISE)
def test_any_body_is_read_or_refused_in_one_way(body: str) -> None:
    read_or_refused(body)


def test_ten_thousand_damaged_messages_are_read_or_refused() -> None:
    rand = random.Random(20)
    counts = Counter(read_or_refused(damaged(rand)) for _ in range(10_000))
    assert counts["read"] > 300
    assert counts["refused"] > 3_000


def damaged(rand: random.Random) -> str:
    """A good message with something wrong in its structure, its text, or its bytes."""
    values: list[Any] = [None, 5, -1.5, True, "", "x", "é😀", [], [1], {}, {"x": 1}, "utf-8", "base64", "[[], {}, {}]"]
    payload: Any = [["text"], {"model": "m"}, {"chord": None, "callbacks": None}]
    if rand.random() < 0.4:
        payload[rand.randrange(3)] = rand.choice(values)
    if rand.random() < 0.1:
        payload = rand.choice(values)
    envelope: dict[str, Any] = {
        "body": json.dumps(payload),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": "t", "id": "i", "eta": None, "timelimit": [None, None], "retries": 0, "stamps": {}},
        "properties": {"body_encoding": "utf-8", "delivery_info": {"routing_key": "work"}, "priority": 0},
    }
    for part in (envelope, envelope["headers"], envelope["properties"]):
        if rand.random() < 0.3 and isinstance(part, dict):
            name = rand.choice(list(part))
            if rand.random() < 0.3:
                del part[name]
            else:
                part[name] = rand.choice(values)
    text = json.dumps(envelope)
    kind = rand.random()
    if kind < 0.15:
        text = text[: rand.randrange(len(text))]
    elif kind < 0.3:
        at = rand.randrange(len(text))
        text = text[:at] + chr(rand.choice([0x20, 0x22, 0x5B, 0x7B, 0xE9, 0x1F600])) + text[at + 1 :]
    if rand.random() < 0.3:
        text = base64.b64encode(text.encode()).decode()
        if rand.random() < 0.3:
            text = text[: rand.randrange(1, len(text))]
    return text


def read_or_refused(body: str) -> str:
    """What Celery's handler then sees is a message of the right shape, or an error that it knows."""
    try:
        content = decode(body)
        check_headers(content["headers"])
        message = Message(delivery(body), content, channel=None)
    except UndecodableError:
        return "refused"
    message.accept = {"application/json"}
    assert isinstance(message.headers.get("task", ""), str)
    if message.errors:
        assert message.unreadable is not None
        return "refused"
    try:
        payload = message.payload
    except (DecodeError, ContentDisallowed):
        assert message.unreadable is not None
        return "refused"
    if "task" in message.headers:
        args, kwargs, embed = payload
        assert isinstance(args, list)
        assert isinstance(kwargs, dict)
        assert embed is None or isinstance(embed, dict)
    return "read"


@given(TEXT, st.integers(60, 4_000))
def test_a_reason_is_cut_to_its_room_and_read_again(text: str, room: int) -> None:
    reason = Reason("ValueError", text, attempts=3, worker="w")
    value = reason.to_json(room)
    read = Reason.from_json(value)
    assert len(value) <= max(room, len(Reason("ValueError", "", 3, "w").to_json()))
    assert text.startswith(read.message)
    assert (read.error_type, read.attempts, read.worker) == ("ValueError", 3, "w")


def test_a_reason_of_a_later_version_is_read() -> None:
    assert Reason.from_json('{"error_type": "E", "message": "m", "attempts": 1, "new": 2}') == Reason("E", "m", 1)


@pytest.mark.parametrize("value", ["", "null", "[]", "5", '{"message": 1}'])
def test_a_reason_that_is_none_is_unknown(value: str) -> None:
    assert Reason.from_json(value).error_type == "Unknown"


@pytest.mark.parametrize("size", [1_048_576, 1_048_576 - 100, 1_048_576 - 3_000, 1_000])
def test_a_dead_letter_never_exceeds_the_dlq(size: int) -> None:
    held = delivery("x" * size, reason=Reason("E", "m" * 10_000, 1))
    parameters = dead_letter_parameters(held, "dlq", 1_048_576)
    if parameters is None:
        assert size > 1_048_576 - REASON_LIMIT_BYTES
    else:
        assert parameters["MessageBody"] == held.body
        assert message_bytes(held.body, parameters["MessageAttributes"]) <= 1_048_576
