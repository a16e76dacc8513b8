"""A client of the JSON protocol that does as little as it can, so that what is measured is the server."""

from __future__ import annotations

import json
import selectors
import socket
from typing import Any, Final

ANSWER_SECONDS: Final = 60
_encode = json.JSONEncoder(separators=(",", ":")).encode


class Wire:
    """One connection, kept open as SDKs do; opened anew where the server has closed it between two requests."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket = _connected(port)

    def call(self, operation: str, **fields: Any) -> dict[str, Any]:
        """Raises RuntimeError for any answer but a success."""
        data = request(self._port, operation, fields)
        answer = self._answer(data)
        if answer is None:
            self._socket.close()
            self._socket = _connected(self._port)
            answer = self._answer(data)
        if answer is None:
            raise ConnectionError(f"{operation}: the server hung up")
        head, _, body = answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{operation}: {head[:20]!r} {body[:300]!r}")
        return dict(json.loads(body or b"{}"))

    def _answer(self, data: bytes) -> bytes | None:
        """None where the server hung up before its first byte."""
        try:
            self._socket.sendall(data)
            answer = self._socket.recv(1 << 18)
        except (BrokenPipeError, ConnectionResetError):
            return None
        while answer and not _whole(answer):
            piece = self._socket.recv(1 << 18)
            if not piece:
                raise ConnectionError(f"the server hung up within an answer: {answer[:200]!r}")
            answer += piece
        return answer or None

    def close(self) -> None:
        self._socket.close()


def burst(port: int, data: bytes, count: int, connections: int) -> None:
    """`count` times the same request over a few connections, from one thread; each waits for its answer.

    Raises RuntimeError for any answer but a success.
    """
    selector = selectors.DefaultSelector()
    started = done = 0
    for _ in range(connections):
        _ask(selector, port, data)
        started += 1
    while done < count:
        for key, _ in selector.select(ANSWER_SECONDS):
            sock: Any = key.fileobj
            piece = sock.recv(1 << 18)
            if not piece and not key.data:
                selector.unregister(sock)
                sock.close()
                _ask(selector, port, data)
                continue
            answer = key.data + piece
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"an unexpected answer: {answer!r}")
            if not _whole(answer):
                selector.modify(sock, selectors.EVENT_READ, answer)
                continue
            if key.data:
                selector.modify(sock, selectors.EVENT_READ, b"")
            done += 1
            if started < count:
                started += 1
                sock.sendall(data)
    for key in list(selector.get_map().values()):
        key.fileobj.close()  # type: ignore[union-attr]
    selector.close()


def _ask(selector: selectors.BaseSelector, port: int, data: bytes) -> None:
    sock = _connected(port)
    selector.register(sock, selectors.EVENT_READ, b"")
    sock.sendall(data)


def _connected(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def request(port: int, operation: str, fields: dict[str, Any]) -> bytes:
    """A whole HTTP request, with the headers that an SDK would send."""
    body = _encode(fields).encode()
    return (
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nX-Amz-Target: AmazonSQS.%b\r\n"
        b"Content-Type: application/x-amz-json-1.0\r\nX-Amz-Date: 20260101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256"
        b" Credential=any/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host;x-amz-date, Signature=00\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (port, operation.encode(), len(body), body)
    )


def _whole(answer: bytes) -> bool:
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = answer[:end].lower()
    start = head.find(b"content-length:")
    if start < 0:
        raise RuntimeError(f"an answer without a length: {head!r}")
    return len(answer) - end - 4 >= int(head[start + 15 :].split(b"\r\n", 1)[0])
