"""With the extra `local`, uvloop and orjson, and without it: the same server."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from in_process import parsed, request

ROOT = Path(__file__).resolve().parents[3]
URL = "http://localhost/000000000000/q"
POLL_SECONDS = 20


@dataclass
class Server:
    child: subprocess.Popen[str]
    port: int

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def call(self, operation: str, **fields: object) -> dict:
        with closing(self.connect()) as sock:
            status, answer = exchange(sock, operation, **fields)
        assert status == 200, answer
        return answer


def exchange(sock: socket.socket, operation: str, **fields: object) -> tuple[int, dict]:
    sock.sendall(request(operation, json.dumps(fields).encode()))
    return answer_of(sock)


def answer_of(sock: socket.socket) -> tuple[int, dict]:
    """Small enough to come in one piece over the loopback."""
    return parsed(sock.recv(65536))


@contextmanager
def started(data: Path) -> Iterator[Server]:
    command = [
        sys.executable,
        "-m",
        "celery_inference.sqs_local",
        "--port",
        "0",
        "--data",
        str(data),
        "--stop-with-stdin",
    ]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as child:
        try:
            yield Server(child, int(child.stdout.readline().split()[3].rstrip(",").rpartition(":")[2]))
        finally:
            child.kill()


@pytest.fixture(params=["with the extra", "bare"])
def fast(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether servers that the test starts have the extra."""
    if request.param == "bare":
        absent = tmp_path / "absent"
        absent.mkdir()
        for package in ("uvloop", "orjson"):
            (absent / f"{package}.py").write_text("raise ImportError('as if it were not installed')\n")
        monkeypatch.setenv("PYTHONPATH", str(absent))
    return request.param != "bare"


def test_with_and_without_it_serves_keeps_and_stops_alike(fast: bool, tmp_path: Path) -> None:
    with started(tmp_path / "data") as server:
        mapped = Path(f"/proc/{server.child.pid}/maps").read_text()
        assert ("uvloop" in mapped, "orjson" in mapped) == (fast, fast)
        server.call("CreateQueue", QueueName="q")
        sent = server.call("SendMessage", QueueUrl=URL, MessageBody="kept")
        with closing(server.connect()) as half, closing(server.connect()) as poll:
            half.sendall(b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf")
            (message,) = server.call("ReceiveMessage", QueueUrl=URL, VisibilityTimeout=600)["Messages"]
            assert message["MessageId"] == sent["MessageId"]
            wait = json.dumps({"QueueUrl": URL, "WaitTimeSeconds": POLL_SECONDS}).encode()
            poll.sendall(request("ReceiveMessage", wait))
            sent = server.call("SendMessage", QueueUrl=URL, MessageBody="woke the poll")
            assert answer_of(poll)[1]["Messages"][0]["MessageId"] == sent["MessageId"]
            poll.sendall(request("ReceiveMessage", wait))
            time.sleep(0.2)
            signalled = time.monotonic()
            server.child.terminate()
            assert answer_of(poll) == (200, {})
            assert server.child.wait(10) == 0
            assert time.monotonic() - signalled < 10, "the poll alone would last 20"
            assert half.recv(100) == b""
        assert server.child.stdout.read() == "celery_inference.sqs_local: stopped\n"
        assert server.child.stderr.read() == ""
    (tmp_path / "absent" / "orjson.py").unlink(missing_ok=True)  # a journal is read whichever has written it
    with started(tmp_path / "data") as server:
        counts = server.call("GetQueueAttributes", QueueUrl=URL, AttributeNames=["All"])["Attributes"]
        assert counts["ApproximateNumberOfMessagesNotVisible"] == "2"
        server.child.stdin.close()
        assert server.child.wait(10) == 0


def test_a_poller_that_hangs_up_eats_no_message_with_or_without_it(fast: bool, tmp_path: Path) -> None:
    wait = json.dumps({"QueueUrl": URL, "WaitTimeSeconds": POLL_SECONDS}).encode()
    with started(tmp_path / "data") as server:
        server.call("CreateQueue", QueueName="q")
        for _ in range(30):
            with closing(server.connect()) as poll:
                poll.sendall(request("ReceiveMessage", wait))
            sent = server.call("SendMessage", QueueUrl=URL, MessageBody="not eaten")
            fields = {"QueueUrl": URL, "AttributeNames": ["All"]}
            (message,) = server.call("ReceiveMessage", **fields)["Messages"]
            assert message["MessageId"] == sent["MessageId"]
            assert message["Attributes"]["ApproximateReceiveCount"] == "1"
