"""Disks that are full, that fail, and that are waited for."""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from in_process import URL, InProcessServer, Refused, feed, parsed, receive, request, send

from celery_inference.sqs_local.child_process import LocalServer
from celery_inference.sqs_local.journal import journal, segment
from celery_inference.sqs_local.journal.commit_queue import MAX_TURNS


def limited(server: LocalServer) -> Callable[[int], None]:
    """Sets how long the server's files may get: the disk is full there."""
    hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)[1]
    return lambda size_bytes: resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size_bytes, hard)) and None


def test_a_full_disk_is_an_error_of_the_send_and_nothing_is_kept(tmp_path: Path) -> None:
    with LocalServer(data=tmp_path) as server:
        client = boto3.client(
            "sqs",
            endpoint_url=server.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
            config=Config(retries={"total_max_attempts": 1}),
        )
        url = client.create_queue(QueueName="q")["QueueUrl"]
        set_limit = limited(server)
        set_limit(segment.ALLOCATION_BYTES)
        sent: list[str] = []
        answer: dict = {}
        try:
            for _ in range(100):
                sent.append(client.send_message(QueueUrl=url, MessageBody="x" * 100_000)["MessageId"])
        except ClientError as error:
            answer = error.response
        assert answer["Error"]["Code"] == "ServiceUnavailable"
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 503
        assert sent
        names = ["ApproximateNumberOfMessages"]
        shown = client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        assert int(shown[names[0]]) == len(sent)
        # What is there can still be received and deleted.
        (message,) = client.receive_message(QueueUrl=url)["Messages"]
        client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        set_limit(resource.RLIM_INFINITY)
        sent.append(client.send_message(QueueUrl=url, MessageBody="there is room again")["MessageId"])
        sent.remove(message["MessageId"])
        client.close()
        server.kill()
    with LocalServer(data=tmp_path, port=server.port) as server:
        client = boto3.client(
            "sqs",
            endpoint_url=server.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
        )
        found: list[str] = []
        while messages := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            found += [message["MessageId"] for message in messages]
        assert found == sent
        client.close()


def test_a_delete_does_not_wait_for_the_sync_of_a_send(
    server: InProcessServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.call("CreateQueue", QueueName="q")
    send(server)
    (message,) = receive(server)
    out_at_sync: list[int] = []
    delete = json.dumps({"QueueUrl": URL, "ReceiptHandle": message["ReceiptHandle"]}).encode()
    sent = json.dumps({"QueueUrl": URL, "MessageBody": "earlier"}).encode()
    (first, deleting), (second, sending) = server.connect(), server.connect()

    async def together() -> None:
        monkeypatch.setattr(
            journal, "_sync_data", lambda fd: out_at_sync.extend((len(deleting.written), len(sending.written)))
        )
        feed(second, request("SendMessage", sent))
        feed(first, request("DeleteMessage", delete))
        assert parsed(deleting.written)[0] == 200
        assert sending.written == b""
        for _ in range(MAX_TURNS + 5):
            await asyncio.sleep(0)

    server.loop.run_until_complete(together())
    assert out_at_sync == [len(deleting.written), 0]
    assert parsed(sending.written)[0] == 200


def test_a_receive_waits_for_the_disk_only_where_its_message_does(
    server: InProcessServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.call("CreateQueue", QueueName="q")
    send(server, "on disk")
    asked = request("ReceiveMessage", json.dumps({"QueueUrl": URL}).encode())
    sent = request("SendMessage", json.dumps({"QueueUrl": URL, "MessageBody": "not yet"}).encode())
    (sender, _), (first, old), (second, new) = server.connect(), server.connect(), server.connect()
    out_at_sync: list[bool] = []

    async def together() -> None:
        monkeypatch.setattr(
            journal, "_sync_data", lambda fd: out_at_sync.extend((bool(old.written), bool(new.written)))
        )
        for connection, data in ((sender, sent), (first, asked), (second, asked)):
            feed(connection, data)
        for _ in range(MAX_TURNS + 5):
            await asyncio.sleep(0)

    server.loop.run_until_complete(together())
    assert out_at_sync == [True, False]
    bodies = [parsed(wire.written)[1]["Messages"][0]["Body"] for wire in (old, new)]
    assert bodies == ["on disk", "not yet"]


def test_a_disk_that_fails_ends_the_server_with_an_error(
    server: InProcessServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.call("CreateQueue", QueueName="q")

    def broken(fd: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(journal, "_sync_data", broken)
    failures: list[OSError] = []
    server.service._failed = failures.append
    with pytest.raises(Refused, match="InternalFailure"):
        send(server)
    assert failures[0].errno == 5
    monkeypatch.undo()
    # A sync that works again would not bring back what was lost, so nothing is answered from here on.
    with pytest.raises(Refused, match="InternalFailure"):
        send(server, "second")
    server.restart()
    # Whether the first had reached the disk is open, as its error says.
    assert "second" not in [message["Body"] for message in receive(server)]
