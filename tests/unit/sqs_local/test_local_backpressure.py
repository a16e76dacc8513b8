"""Clients that send without waiting for answers, or read none: the server holds little of what they send."""

from __future__ import annotations

import asyncio
import json

import pytest
from in_process import URL, InProcessServer, feed, request, send

from celery_inference.sqs_local.http import server as http_server

ASKED = request("GetQueueAttributes", json.dumps({"QueueUrl": URL, "AttributeNames": ["All"]}).encode())


def test_what_comes_behind_a_long_poll_is_left_to_the_kernel_and_answered_later(server: InProcessServer) -> None:
    server.call("CreateQueue", QueueName="q")
    poll = request("ReceiveMessage", json.dumps({"QueueUrl": URL, "WaitTimeSeconds": 20}).encode())
    count = 2 * http_server.MAX_WAITING_BYTES // len(ASKED)
    connection, wire = server.connect()

    async def run() -> None:
        connection.data_received(poll)
        sent = 0
        while wire.reading and sent < count:
            connection.data_received(ASKED)
            sent += 1
        assert http_server.MAX_WAITING_BYTES < sent * len(ASKED) < http_server.MAX_WAITING_BYTES + 2 * len(ASKED)
        feed(server.connect()[0], request("SendMessage", json.dumps({"QueueUrl": URL, "MessageBody": "x"}).encode()))
        while not wire.reading:
            await asyncio.sleep(0.001)
        for _ in range(count - sent):
            connection.data_received(ASKED)
        while wire.written.count(b"HTTP/1.1 200") < count + 1:
            await asyncio.sleep(0.001)

    server.loop.run_until_complete(asyncio.wait_for(run(), 30))
    assert wire.written.count(b'"Messages"') == 1
    assert wire.written.count(b"QueueArn") == count


def test_a_request_that_ends_exactly_where_reading_stopped_is_followed_by_others(server: InProcessServer) -> None:
    server.call("CreateQueue", QueueName="q")
    poll = request("ReceiveMessage", json.dumps({"QueueUrl": URL, "WaitTimeSeconds": 20}).encode())
    large = request(
        "GetQueueUrl", json.dumps({"QueueName": "q", "Unknown": "x" * http_server.MAX_WAITING_BYTES}).encode()
    )
    connection, wire = server.connect()

    async def run() -> None:
        connection.data_received(poll)
        connection.data_received(large)
        assert not wire.reading
        feed(server.connect()[0], request("SendMessage", json.dumps({"QueueUrl": URL, "MessageBody": "x"}).encode()))
        while not wire.reading:
            await asyncio.sleep(0.001)
        connection.data_received(ASKED)
        while wire.written.count(b"HTTP/1.1 200") < 3:
            await asyncio.sleep(0.001)

    server.loop.run_until_complete(asyncio.wait_for(run(), 30))


def test_a_poller_that_is_gone_is_closed_although_nothing_is_read_from_it(server: InProcessServer) -> None:
    server.call("CreateQueue", QueueName="q")
    poll = request("ReceiveMessage", json.dumps({"QueueUrl": URL, "WaitTimeSeconds": 20}).encode())
    connection, wire = server.connect()

    async def run() -> None:
        connection.data_received(poll)
        connection.data_received(ASKED * (2 * http_server.MAX_WAITING_BYTES // len(ASKED)))

    server.loop.run_until_complete(run())
    assert not wire.reading
    connection.alive = lambda: False  # type: ignore[method-assign]
    send(server)
    assert wire.closed
    assert wire.written == b""


def test_a_client_that_reads_no_answers_is_gone_after_a_while(
    server: InProcessServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "UNREAD_SECONDS", 0.5)
    slow, slow_wire = server.connect()
    stuck, stuck_wire = server.connect()

    quick, quick_wire = server.connect()

    async def run() -> None:
        for connection, wire in ((quick, quick_wire), (slow, slow_wire), (stuck, stuck_wire)):
            wire.unread = 1_000
            connection.pause_writing()
        quick.resume_writing()
        while not stuck_wire.closed:
            slow_wire.unread -= 1
            await asyncio.sleep(0.005)

    server.loop.run_until_complete(asyncio.wait_for(run(), 30))
    assert stuck_wire.closed
    assert not slow_wire.closed
    assert not quick_wire.closed
    server.call("CreateQueue", QueueName="q")
    assert send(server)
