"""Short forms of calls that most contract tests make."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

PREFIX = os.environ.get("AWS_CONTRACT_QUEUE_PREFIX", "")
# What the client at hand knows: botocore before 1.34.101 asks for system attributes by their older name alone.
_SERVICE = botocore.session.get_session().get_service_model("sqs")
SDK_SPEAKS = _SERVICE.metadata["protocol"]
_NAMES = _SERVICE.operation_model("ReceiveMessage").input_shape.members
SYSTEM_ATTRIBUTES = next(name for name in ("MessageSystemAttributeNames", "AttributeNames") if name in _NAMES)
PATIENCE_SECONDS = 60  # AWS shows things late


def send(sqs: SQSClient, url: str, body: str = "hello", **fields: Any) -> dict[str, Any]:
    return dict(sqs.send_message(QueueUrl=url, MessageBody=body, **fields))


def receive(sqs: SQSClient, url: str, **fields: Any) -> list[dict[str, Any]]:
    """One ReceiveMessage for up to ten, with all system attributes."""
    asked = {"MaxNumberOfMessages": 10, SYSTEM_ATTRIBUTES: ["All"], **fields}
    return list(sqs.receive_message(QueueUrl=url, **asked).get("Messages", []))  # type: ignore[arg-type]


def receive_one(sqs: SQSClient, url: str, **fields: Any) -> dict[str, Any]:
    """The one message of the queue, waited for if need be."""
    messages = receive(sqs, url, **{"WaitTimeSeconds": 5, **fields})
    assert len(messages) == 1, messages
    return messages[0]


def drain(sqs: SQSClient, url: str, count: int, **fields: Any) -> list[dict[str, Any]]:
    """`count` messages in the order of their receives."""
    messages: list[dict[str, Any]] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(messages) < count and time.monotonic() < deadline:
        messages += receive(sqs, url, **{"WaitTimeSeconds": 1, **fields})
    assert len(messages) == count, [message["Body"] for message in messages]
    return messages


def attribute(sqs: SQSClient, url: str, name: str) -> str | None:
    answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])  # type: ignore[list-item]
    return answer.get("Attributes", {}).get(name)  # type: ignore[call-overload,no-any-return]


def arn(sqs: SQSClient, url: str) -> str:
    value = attribute(sqs, url, "QueueArn")
    assert value is not None
    return value


def counts(sqs: SQSClient, url: str) -> tuple[int, int, int]:
    """Messages that are ready, in flight, delayed."""
    names = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
    shown = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]  # type: ignore[arg-type]
    return tuple(int(shown[name]) for name in names)  # type: ignore[index,return-value]


def eventually(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not check():
        assert time.monotonic() < deadline, "never came true"
        time.sleep(0.05)


def redrive_to(dlq_arn: str, receives: int) -> str:
    return json.dumps({"deadLetterTargetArn": dlq_arn, "maxReceiveCount": receives})


def refused(code: str, call: Callable[..., Any], **fields: Any) -> str:
    """The message of the error, which must have this code."""
    with pytest.raises(ClientError) as caught:
        call(**fields)
    error = caught.value.response["Error"]
    assert error["Code"].rpartition(".")[2] == code, error
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] < 500
    return error["Message"]
