"""What a message's payload is read as: the fast way and kombu's give the same."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from kombu.exceptions import ContentDisallowed, DecodeError
from kombu.utils.json import dumps

from celery_inference.sqs.consumer.message import Message
from celery_inference.sqs.messages.delivery import Delivery


def message(body: bytes, content_type: str = "application/json", accept: set[str] | None = None) -> Message:
    delivery = Delivery("work", "url", "id", "receipt", "", {}, {}, lease_ends=0.0)
    envelope = {"body": body, "content-type": content_type, "headers": {}, "properties": {"delivery_info": {}}}
    made = Message(delivery, envelope, channel=None)
    made.accept = accept
    return made


@pytest.mark.parametrize("value", [[["ä", 1.5, None], {"x": {"y": []}}, {}], 2**70, "__typ__", {"__value__": 1}])
def test_plain_json_is_read_as_it_was_written(value: Any) -> None:
    assert message(json.dumps(value).encode()).payload == value
    assert message(json.dumps(value, ensure_ascii=False).encode(), accept={"application/json"}).payload == value


def test_kombu_s_types_in_json_are_understood_however_they_are_written() -> None:
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    text = dumps({"when": when})
    assert message(text.encode()).payload == {"when": when}
    assert message(text.replace("__type__", "\\u005f_type_\\u005F").encode()).payload == {"when": when}


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe\x00", '"x"'.encode("utf-16"), b"[1] [2]"])
def test_what_is_no_json_in_utf_8_is_unreadable(body: bytes) -> None:
    made = message(body)
    with pytest.raises(DecodeError):
        made.decode()
    assert made.unreadable is not None


def test_json_is_refused_where_it_is_not_accepted() -> None:
    with pytest.raises(ContentDisallowed):
        message(b"[]", accept={"application/x-msgpack"}).decode()
