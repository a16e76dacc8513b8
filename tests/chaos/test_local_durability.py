"""kill -9 of the embedded server, 200 times, with traffic on: what was answered must hold.

The servers that are killed are forked from a process that has imported what they need: so a start takes milliseconds,
and a kill can also meet one that still reads its journal. `SQS_LOCAL_KILLS` is for more of them, or fewer.
"""

from __future__ import annotations

import http.client
import json
import multiprocessing
import os
import random
import socket
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from celery_inference.sqs_local.child_process import LocalServer
from celery_inference.sqs_local.server import ServerOptions, run

KILLS = int(os.environ.get("SQS_LOCAL_KILLS", "200"))
EARLY_KILLS = 0.1  # of all: the server may not be listening yet
LEASE_SECONDS = 1
MAX_WAITING = 3_000  # messages, so that reading the journal does not become what takes the time
PAYLOAD = "x" * 300
_forkserver = multiprocessing.get_context("forkserver")
_forkserver.set_forkserver_preload(["celery_inference.sqs_local.server"])


def run_server(port: int, data: Path) -> None:
    run(ServerOptions("127.0.0.1", port, data, "us-east-1", stop_with_stdin=False))


class KilledServer:
    """Servers on one port and data directory, one after the other; each ends by SIGKILL."""

    def __init__(self, data: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self._data = data

    def start(self) -> None:
        self._process = _forkserver.Process(target=run_server, args=(self.port, self._data))
        self._process.start()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=10).close()
            except OSError:
                assert self._process.is_alive(), "the server did not start"
                assert time.monotonic() < deadline
                time.sleep(0.002)
            else:
                return

    def kill(self) -> None:
        self._process.kill()
        self._process.join()


class Client:
    """One connection, opened anew after each failure. `call` gives None where there was no answer."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: http.client.HTTPConnection | None = None

    def call(self, operation: str, **fields: Any) -> dict[str, Any] | None:
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
            headers = {"X-Amz-Target": f"AmazonSQS.{operation}"}
            self._connection.request("POST", "/", json.dumps(fields), headers)
            answer = self._connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            return None
        assert answer.status == 200, body
        return dict(json.loads(body))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@dataclass
class Ledger:
    """What was asked for and what was answered, by body. Each body is sent once."""

    asked: set[str] = field(default_factory=set)
    sent: set[str] = field(default_factory=set)
    deleting: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    receives: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    faults: list[BaseException] = field(default_factory=list)


class Traffic:
    """Threads that send, receive and delete until `stop`."""

    def __init__(self, port: int, url: str) -> None:
        self._port, self._url = port, url
        self._stopping = threading.Event()
        self.ledger = Ledger()
        self._threads = [threading.Thread(target=self._run, args=(self._send, name)) for name in "ab"]
        self._threads += [threading.Thread(target=self._run, args=(self._consume, name)) for name in "cd"]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()
        assert not self.ledger.faults, self.ledger.faults[0]

    def _run(self, work: Any, name: str) -> None:
        client = Client(self._port)
        turn = 0
        try:
            while not self._stopping.is_set():
                turn += 1
                if not work(client, f"{name}{turn}"):
                    time.sleep(0.02)
        except BaseException as fault:
            self.ledger.faults.append(fault)
        finally:
            client.close()

    def _send(self, client: Client, name: str) -> bool:
        ledger = self.ledger
        if len(ledger.sent) - len(ledger.deleting) > MAX_WAITING:
            return False
        bodies = [f"{name}-{number} {PAYLOAD}" for number in range(random.choice([1, 1, 10]))]
        ledger.asked.update(bodies)
        if len(bodies) == 1:
            answer = client.call("SendMessage", QueueUrl=self._url, MessageBody=bodies[0])
        else:
            entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)]
            answer = client.call("SendMessageBatch", QueueUrl=self._url, Entries=entries)
        if answer is not None:
            ledger.sent.update(bodies)
        return answer is not None

    def _consume(self, client: Client, name: str) -> bool:
        ledger = self.ledger
        asked = time.monotonic()
        messages = received(client, self._url, LEASE_SECONDS)
        if messages is None:
            return False
        for message in messages:
            body, count = message["Body"], int(message["Attributes"]["ApproximateReceiveCount"])
            assert body not in ledger.deleted, "a deleted message came back"
            ledger.receives[body] = max(count, ledger.receives[body])
            if random.random() < 0.6:
                ledger.deleting.add(body)
                answer = client.call("DeleteMessage", QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
                # A handle whose lease was over may have been an older one, which deletes nothing.
                if answer == {} and time.monotonic() - asked < LEASE_SECONDS:
                    ledger.deleted.add(body)
        return True


def received(client: Client, url: str, lease_seconds: int) -> list[dict[str, Any]] | None:
    answer = client.call(
        "ReceiveMessage",
        QueueUrl=url,
        MaxNumberOfMessages=10,
        VisibilityTimeout=lease_seconds,
        AttributeNames=["ApproximateReceiveCount"],
    )
    return None if answer is None else answer.get("Messages", [])


@pytest.mark.timeout(900)
def test_what_was_answered_survives_kills(tmp_path: Path) -> None:
    server = KilledServer(tmp_path)
    server.start()
    server.wait_until_ready()
    client = Client(server.port)
    created = client.call("CreateQueue", QueueName="q", tags={"kept": "yes"})
    assert created is not None
    url = created["QueueUrl"]
    client.close()
    traffic = Traffic(server.port, url)
    traffic.start()
    try:
        for _ in range(KILLS):
            if random.random() >= EARLY_KILLS:
                server.wait_until_ready()
            time.sleep(random.uniform(0, 0.15))
            server.kill()
            server.start()
        server.wait_until_ready()
        time.sleep(0.3)
    finally:
        traffic.stop()
        server.kill()
    with LocalServer(data=tmp_path, port=server.port):
        client.close()
        tags = client.call("ListQueueTags", QueueUrl=url)
        assert tags == {"Tags": {"kept": "yes"}}
        time.sleep(LEASE_SECONDS + 0.1)
        found: dict[str, int] = {}
        while messages := received(client, url, 600):
            for message in messages:
                assert message["Body"] not in found, "one message, two ids"
                found[message["Body"]] = int(message["Attributes"]["ApproximateReceiveCount"])
        client.close()
    ledger = traffic.ledger
    assert len(ledger.deleted) > KILLS, "there was too little traffic for this to mean anything"
    lost = ledger.sent - ledger.deleting - found.keys()
    assert not lost, f"{len(lost)} answered sends are gone"
    risen = ledger.deleted & found.keys()
    assert not risen, f"{len(risen)} answered deletes came back"
    assert found.keys() <= ledger.asked
    forgotten = [body for body, count in found.items() if count <= ledger.receives[body]]
    assert not forgotten, f"{len(forgotten)} receive counts went back"
    print(f"{KILLS} kills: {len(ledger.sent)} sends, {len(ledger.deleted)} deletes answered, {len(found)} found")
