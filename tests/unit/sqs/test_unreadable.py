"""Unreadable messages: what is still known of them, and what bounds the unpacking."""

import bz2
import json
import lzma
import zlib
from typing import Any

import pytest

from celery_inference.sqs.consumer.leases import lease_end
from celery_inference.sqs.consumer.message import Message
from celery_inference.sqs.errors import UndecodableError
from celery_inference.sqs.messages.compression import unpacked
from celery_inference.sqs.messages.delivery import Delivery
from celery_inference.sqs.messages.envelope import identified, pack_body
from celery_inference.sqs.messages.validation import check_headers, check_payload, following_in

SIGNATURE = {"task": "t", "args": [], "kwargs": {}, "options": {}, "subtask_type": None}
PACKERS = {"application/x-gzip": zlib.compress, "application/x-bz2": bz2.compress, "application/x-lzma": lzma.compress}


def message(body: bytes, **headers: Any) -> Message:
    packed, encoding = pack_body(body)
    delivery = Delivery("q", "u", "m", "r", packed, {}, {}, lease_end(30))
    content = {
        "body": body,
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": "t", "id": "1", **headers},
        "properties": {"delivery_info": {}, "body_encoding": encoding},
    }
    return Message(delivery, content, None)


@pytest.mark.parametrize("compression", PACKERS)
def test_a_compressed_payload_is_read(compression: str) -> None:
    packed = PACKERS[compression](json.dumps([["x" * 10_000], {}, {}]).encode())
    assert message(packed, compression=compression).payload == [["x" * 10_000], {}, {}]


@pytest.mark.parametrize("compression", PACKERS)
def test_a_payload_is_not_unpacked_beyond_its_bound(compression: str) -> None:
    packed = PACKERS[compression](bytes(100_000))
    assert len(unpacked(packed, compression, limit_bytes=100_000)) == 100_000
    with pytest.raises(UndecodableError, match="more than 99,999 bytes"):
        unpacked(packed, compression, limit_bytes=99_999)
    with pytest.raises(UndecodableError, match=r"whole|not"):
        unpacked(packed[:-4], compression)
    with pytest.raises(UndecodableError):
        unpacked(b"no such thing", compression)


def test_a_payload_that_cannot_be_unpacked_is_unreadable_and_says_so() -> None:
    for compression in ("application/x-gzip", "application/x-brotli", "rot13"):
        one = message(b"plain", compression=compression)
        assert isinstance(one.unreadable, UndecodableError)
        with pytest.raises(Exception, match=str(one.unreadable)):
            one.decode()


@pytest.mark.parametrize("name", ["eta", "expires"])
@pytest.mark.parametrize("wrong", ["some day", "", "2030-13-01", "9999-12-31T23:59:59", "0001-01-01T00:00:00+14:00"])
def test_a_wrong_time_is_named(name: str, wrong: str) -> None:
    with pytest.raises(UndecodableError, match=f"header '{name}' is not a time"):
        check_headers({"task": "t", "id": "1", name: wrong})
    check_headers({"task": "t", "id": "1", name: "2030-01-31T12:00:00"})


@pytest.mark.parametrize(
    "embed",
    [
        {"errbacks": 5},
        {"callbacks": [5]},
        {"chain": {"a": 1}},
        {"chord": "x"},
        {"chord": {"task": 1}},
        {"errbacks": [{**SIGNATURE, "options": 3}]},
    ],
)
def test_what_is_to_follow_is_signatures(embed: Any) -> None:
    with pytest.raises(UndecodableError, match=next(iter(embed))):
        check_payload({"task": "t"}, [[], {}, embed])
    assert following_in(embed) == {}
    right = {"callbacks": None, "errbacks": [SIGNATURE], "chain": [], "chord": SIGNATURE}
    check_payload({"task": "t"}, [[], {}, right])
    assert following_in(embed | {"errbacks": [SIGNATURE]})["errbacks"] == [SIGNATURE]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"properties": None}, b"[[], {}, {}]"),
        ({"content-type": 3}, b"[[], {}, {}]"),
        ({"body": None}, b""),
        ({"headers": {"id": "1", "task": 5, "group": 7}}, b"[[], {}, {}]"),
    ],
)
def test_the_request_of_a_refused_message_is_known(changes: dict[str, Any], expected: bytes) -> None:
    whole = {"body": "[[], {}, {}]", "headers": {"id": "1", "task": "t"}, "properties": {}}
    found = identified(json.dumps(whole | changes))
    assert found is not None
    assert found["body"] == expected
    assert found["headers"]["id"] == "1"
    assert set(found["headers"]) <= {"id", "task"}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"headers": {"id": 5}}', '{"headers": {"id": ""}}'])
def test_a_message_that_names_no_request_is_none(text: str) -> None:
    assert identified(text) is None
