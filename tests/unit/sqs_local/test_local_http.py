"""Bad input and bad clients, on sockets: an AWS-shaped error, the server lives, no message is touched."""

from __future__ import annotations

import asyncio
import json
import resource
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
from in_process import InProcessServer, feed, parsed, request

from celery_inference.sqs_local.child_process import LocalServer
from celery_inference.sqs_local.http import server as http_server

URL = "http://localhost/000000000000/q"


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server
        assert server.said() == "", "the server reported a fault"


@pytest.fixture(autouse=True)
def one_message(server: LocalServer) -> Iterator[None]:
    """In the queue before the test, and untouched after it."""
    call(server, "CreateQueue", QueueName="q")
    sent = call(server, "SendMessage", QueueUrl=URL, MessageBody="untouched")
    yield
    (message,) = call(server, "ReceiveMessage", QueueUrl=URL, AttributeNames=["All"])["Messages"]
    assert message["MessageId"] == sent["MessageId"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    call(server, "DeleteQueue", QueueUrl=URL)


def connect(server: LocalServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def read_answer(sock: socket.socket) -> tuple[int, dict]:
    data = b""
    while b"\r\n\r\n" not in data or len(data.partition(b"\r\n\r\n")[2]) < length_of(data):
        piece = sock.recv(65536)
        assert piece, f"the server hung up after {data!r}"
        data += piece
    return parsed(data)


def length_of(data: bytes) -> int:
    head = data.partition(b"\r\n\r\n")[0].lower()
    return int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])


def exchange(server: LocalServer, data: bytes) -> tuple[int, dict]:
    with closing(connect(server)) as sock:
        sock.sendall(data)
        return read_answer(sock)


def call(server: LocalServer, operation: str, **fields: object) -> dict:
    status, answer = exchange(server, request(operation, json.dumps(fields).encode()))
    assert status == 200, answer
    return answer


def receive_request(wait_seconds: int) -> bytes:
    fields = {"QueueUrl": URL.removesuffix("q") + "empty", "WaitTimeSeconds": wait_seconds}
    return request("ReceiveMessage", json.dumps(fields).encode())


def hung_up(sock: socket.socket) -> bool:
    return bool(select.select([sock], [], [], 10)[0]) and sock.recv(65536) == b""


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        (b"", "MissingRequiredParameterException"),
        (b"{", "SerializationException"),
        (b"\xff\xfe", "SerializationException"),
        (b"[]", "SerializationException"),
        (b"null", "SerializationException"),
        (b"[" * 100_000, "SerializationException"),
        (b'{"QueueUrl": ' + b"9" * 5000 + b"}", "SerializationException"),
        (b'{"QueueUrl": 7}', "SerializationException"),
        (b'{"QueueUrl": "http://localhost/000000000000/none"}', "QueueDoesNotExist"),
        (b'{"QueueUrl": "http://localhost/000000000000/q", "MaxNumberOfMessages": NaN}', "SerializationException"),
        (b'{"QueueUrl": "http://localhost/000000000000/q", "MaxNumberOfMessages": true}', "SerializationException"),
        (b'{"QueueUrl": "http://localhost/000000000000/q", "MaxNumberOfMessages": 1e9}', "SerializationException"),
        (
            b'{"QueueUrl": "http://localhost/000000000000/q", "MessageAttributeNames": {"":1}}',
            "SerializationException",
        ),
        (b'{"QueueUrl": "http://localhost/000000000000/q", "AttributeNames": ["\\ud800"]}', "InvalidMessageContents"),
        (b'{"QueueUrl": "\\ud83d\\ude00", "x": ' + b"[" * 1_020 + b"]" * 1_020 + b"}", "SerializationException"),
    ],
    ids=lambda value: value[-60:].decode("latin-1") if isinstance(value, bytes) else "",
)
def test_a_malformed_body_is_an_error_of_its_sender(server: LocalServer, body: bytes, shape: str) -> None:
    status, answer = exchange(server, request("ReceiveMessage", body))
    assert (status, answer["__type"].partition("#")[2]) == (400, shape)
    assert answer["message"]


@pytest.mark.parametrize("policy", [{"\ud800": 1, "maxReceiveCount": 1}, {"maxReceiveCount": "\ud800"}], ids=ascii)
def test_half_a_surrogate_pair_in_a_policy_is_an_error_of_its_sender(
    server: LocalServer, policy: dict[str, object]
) -> None:
    queue = call(server, "CreateQueue", QueueName="paired")["QueueUrl"]
    attributes = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": "x"} | policy)}
    body = json.dumps({"QueueUrl": queue, "Attributes": attributes}).encode()
    status, answer = exchange(server, request("SetQueueAttributes", body))
    assert (status, answer["__type"].partition("#")[2]) == (400, "InvalidParameterValueException")
    call(server, "DeleteQueue", QueueUrl=queue)


@pytest.mark.parametrize(
    "value", ["", "x" * 257, "gr\u00fc\u00dfe", "a\x01b"], ids=["empty", "long", "no ASCII", "control"]
)
def test_a_header_that_is_no_trace_header_is_none(server: LocalServer, value: str) -> None:
    queue = call(server, "CreateQueue", QueueName="traced")["QueueUrl"]
    sending = json.dumps({"QueueUrl": queue, "MessageBody": "x"}).encode()
    status, _ = exchange(server, request("SendMessage", sending, f"X-Amzn-Trace-Id: {value}\r\n"))
    (message,) = call(server, "ReceiveMessage", QueueUrl=queue, AttributeNames=["All"])["Messages"]
    assert (status, "AWSTraceHeader" in message["Attributes"]) == (200, False)
    call(server, "DeleteQueue", QueueUrl=queue)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 405),
        (b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nX: " + b"x" * 70_000, 431),
        (b"POST / HTTP/1.1\r\nX-Amz-Target: AmazonS3.PutObject\r\nContent-Length: 2\r\n\r\n{}", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", 400),
        (request("NoSuchOperation", b"{}"), 404),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", 400),
    ],
    ids=lambda value: str(value)[:70],
)
def test_what_is_no_request_of_ours_is_answered(server: LocalServer, data: bytes, status: int) -> None:
    got, answer = exchange(server, data)
    assert got == status
    assert answer["__type"].startswith("com.amazonaws.sqs#")


def test_a_body_over_the_limit_is_refused_before_it_is_sent(server: LocalServer) -> None:
    head = b"POST / HTTP/1.1\r\nX-Amz-Target: AmazonSQS.SendMessage\r\nContent-Length: 20000000\r\n\r\n"
    status, answer = exchange(server, head)
    assert status == 413
    assert "longer than" in answer["message"]


def test_a_request_in_single_bytes_is_understood(server: LocalServer) -> None:
    with closing(connect(server)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request("GetQueueUrl", b'{"QueueName": "q"}'):
            sock.sendall(bytes([byte]))
        assert read_answer(sock) == (200, {"QueueUrl": URL})


def test_requests_sent_ahead_are_answered_in_order(server: LocalServer) -> None:
    with closing(connect(server)) as sock:
        names = ["q", "none", "q"]
        sock.sendall(b"".join(request("GetQueueUrl", json.dumps({"QueueName": name}).encode()) for name in names))
        data = b""
        while data.count(b"HTTP/1.1 ") < 3 or not data.endswith(b"}"):
            data += sock.recv(65536)
        assert [part.split()[0] for part in data.split(b"HTTP/1.1 ")[1:]] == [b"200", b"400", b"200"]


def test_a_client_that_wants_to_be_asked_for_its_body_is_asked(server: LocalServer) -> None:
    data = request("GetQueueUrl", b'{"QueueName": "q"}', "Expect: 100-continue\r\n")
    head, _, body = data.partition(b"\r\n\r\n")
    with closing(connect(server)) as sock:
        sock.sendall(head + b"\r\n\r\n")
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert read_answer(sock)[0] == 200


def test_connection_close_is_kept(server: LocalServer) -> None:
    with closing(connect(server)) as sock:
        sock.sendall(request("GetQueueUrl", b'{"QueueName": "q"}', "Connection: close\r\n"))
        assert read_answer(sock)[0] == 200
        assert hung_up(sock)


def test_a_half_sent_send_leaves_no_message(server: LocalServer) -> None:
    data = request("SendMessage", json.dumps({"QueueUrl": URL, "MessageBody": "half"}).encode())
    with closing(connect(server)) as sock:
        sock.sendall(data[:-5])
    with closing(connect(server)) as sock:
        sock.sendall(data[:40])
        sock.shutdown(socket.SHUT_WR)
        assert hung_up(sock)
    shown = call(server, "GetQueueAttributes", QueueUrl=URL, AttributeNames=["ApproximateNumberOfMessages"])
    assert shown["Attributes"] == {"ApproximateNumberOfMessages": "1"}


def test_a_connection_that_asks_nothing_is_ended_and_one_that_waits_is_not() -> None:
    in_process = InProcessServer(None)
    try:
        idle, asking = in_process.connect(), in_process.connect()
        in_process.loop.run_until_complete(fed(asking[0], request("GetQueueUrl", b"{}")[:-1]))
        later = time.monotonic() + 1.0
        for connection, _ in (idle, asking):
            connection.end_if_idle(later - 2.0)
        assert not idle[1].closed, "it was just made"
        for connection, _ in (idle, asking):
            connection.end_if_idle(later)
        assert (idle[1].closed, asking[1].closed) == (True, False)
    finally:
        in_process.close()


@pytest.mark.parametrize("host", ["evil.example", "10.0.0.7", "127.0.0.1.evil.example:80", "[", "[::2]:1"])
@pytest.mark.parametrize("line", ["POST / HTTP/1.1", "GET /_local/calls HTTP/1.1"])
def test_a_request_for_another_host_is_refused(server: LocalServer, line: str, host: str) -> None:
    target = "X-Amz-Target: AmazonSQS.ListQueues"
    for sent, status in ((host, 403), ("127.0.0.1:9324", 200), ("[::1]", 200), ("localhost", 200)):
        data = f"{line}\r\nHost: {sent}\r\n{target}\r\nContent-Length: 2\r\n\r\n{{}}".encode()
        assert exchange(server, data)[0] == status, sent


def test_a_request_that_is_never_whole_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "REQUEST_SECONDS", 0.05)
    in_process = InProcessServer(None)
    try:
        for data in (b"POST / HT", request("GetQueueUrl", b"{}")[:-1]):
            connection, wire = in_process.connect()
            in_process.loop.run_until_complete(fed(connection, data))
            assert parsed(wire.written)[0] == 408
            assert wire.closed
    finally:
        in_process.close()


async def fed(connection: http_server.Connection, data: bytes) -> None:
    feed(connection, data)
    await asyncio.sleep(0.2)


def test_who_does_not_read_answers_gets_no_more_of_them() -> None:
    in_process = InProcessServer(None)
    try:
        connection, wire = in_process.connect()
        asked = request("ListQueues", b"{}")

        async def story() -> list[int]:
            answers = []
            feed(connection, asked + asked + asked)
            connection.pause_writing()
            for step in (lambda: feed(connection, asked), connection.resume_writing):
                await asyncio.sleep(0.02)
                answers.append(wire.written.count(b"HTTP/1.1 200"))
                step()
            async with asyncio.timeout(30):
                while wire.written.count(b"HTTP/1.1 200") < 4:
                    await asyncio.sleep(0.02)
            return [*answers, wire.written.count(b"HTTP/1.1 200")]

        assert in_process.loop.run_until_complete(story()) == [1, 1, 4]
    finally:
        in_process.close()


def test_a_thousand_idle_connections_are_no_burden(server: LocalServer) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # this process has the other ends of them
    with ExitStack() as stack:
        idle = [stack.enter_context(closing(connect(server))) for _ in range(1000)]
        started = time.monotonic()
        assert call(server, "GetQueueUrl", QueueName="q") == {"QueueUrl": URL}
        assert time.monotonic() - started < 5
        idle[500].sendall(request("GetQueueUrl", b'{"QueueName": "q"}'))
        assert read_answer(idle[500])[0] == 200


@pytest.mark.parametrize("end", ["close", "reset", "half-close"])
def test_a_poller_that_is_gone_takes_no_message(server: LocalServer, end: str) -> None:
    empty = URL.removesuffix("q") + "empty"
    call(server, "CreateQueue", QueueName="empty")
    with ExitStack() as stack:
        for _ in range(20):
            sock = stack.enter_context(closing(connect(server)))
            sock.sendall(receive_request(20))
            time.sleep(0.005)
            # The send below reaches the server together with the end of the poller's connection.
            if end == "reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            sock.shutdown(socket.SHUT_WR) if end == "half-close" else sock.close()
            call(server, "SendMessage", QueueUrl=empty, MessageBody="x")
            (message,) = call(server, "ReceiveMessage", QueueUrl=empty, AttributeNames=["All"])["Messages"]
            assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    call(server, "DeleteQueue", QueueUrl=empty)


def test_deleting_a_queue_answers_who_polls_it(server: LocalServer) -> None:
    call(server, "CreateQueue", QueueName="empty")
    with closing(connect(server)) as sock:
        sock.sendall(receive_request(20))
        time.sleep(0.1)
        call(server, "DeleteQueue", QueueUrl=URL.removesuffix("q") + "empty")
        status, answer = read_answer(sock)
        assert (status, answer["__type"]) == (400, "com.amazonaws.sqs#QueueDoesNotExist")


def test_the_errors_carry_what_sdks_read(server: LocalServer) -> None:
    with closing(connect(server)) as sock:
        sock.sendall(request("GetQueueUrl", b'{"QueueName": "none"}'))
        head = sock.recv(65536).partition(b"\r\n\r\n")[0]
    assert b"\r\nx-amzn-query-error: AWS.SimpleQueueService.NonExistentQueue;Sender\r\n" in head
    assert b"\r\nContent-Type: application/x-amz-json-1.0\r\n" in head
    assert b"\r\nx-amzn-RequestId: " in head
