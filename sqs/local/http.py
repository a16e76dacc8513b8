"""HTTP/1.1 as SDKs speak it: one request at a time on a connection that stays open."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

MAX_HEADER_BYTES: Final = 64 * 1024
MAX_BODY_BYTES: Final = 16 * 1024 * 1024  # a batch of 1 MiB, every byte escaped as \u00xx, and its handles
REQUEST_SECONDS: Final = 30.0  # from its first byte, a request must be whole in this time
_HUNG_UP: Final = getattr(select, "POLLRDHUP", select.POLLHUP)
_REASONS: Final = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed"}
_REASONS_MORE: Final = {408: "Request Timeout", 413: "Content Too Large", 500: "Internal Server Error"}
_STATUS_LINES: Final = {
    status: f"HTTP/1.1 {status} {reason}\r\n".encode()
    for status, reason in {
        **_REASONS,
        **_REASONS_MORE,
        431: "Request Header Fields Too Large",
        501: "Not Implemented",
        503: "Service Unavailable",
    }.items()
}


@dataclass(slots=True)
class Request:
    """A whole request. Header names are lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Handler(Protocol):
    """What answers requests, now or later, by `Connection.reply`."""

    def handle(self, connection: Connection, request: Request) -> None: ...

    def refuse(self, connection: Connection, status: int, reason: str) -> None:
        """The bytes were no request; the connection ends after the reply."""


class Connection(asyncio.Protocol):
    """One client. `on_lost` is called when it goes while a request waits for its answer."""

    def __init__(self, handler: Handler, connections: set[Connection]) -> None:
        self._handler = handler
        self._connections = connections
        self._buffer = bytearray()
        self._request: Request | None = None
        self._body_bytes = 0
        self._busy = False
        self._keep_alive = True
        self._timeout: asyncio.TimerHandle | None = None
        self._transport: Any = None
        self._socket: socket.socket | None = None
        self.lost = False
        self.on_lost: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._connections.add(self)
        self._socket = transport.get_extra_info("socket")
        if self._socket is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._gone()

    def eof_received(self) -> bool:
        self._gone()
        return False

    def _gone(self) -> None:
        self.lost = True
        self._stop_clock()
        on_lost, self.on_lost = self.on_lost, None
        if on_lost is not None:
            on_lost()

    def alive(self) -> bool:
        """Whether the client is still there, as far as the kernel knows: its end may not have reached the loop."""
        if self.lost or self._transport.is_closing():
            return False
        fd = self._socket.fileno() if self._socket is not None else -1
        if fd < 0:
            return False
        poll = select.poll()
        poll.register(fd, _HUNG_UP)
        return not poll.poll(0)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._busy:
            if len(self._buffer) > MAX_HEADER_BYTES + MAX_BODY_BYTES:
                self._transport.abort()
            return
        self._next()

    def _next(self) -> None:
        """Starts on the next request if it is whole."""
        if self._request is None and not self._read_head():
            return
        request = self._request
        if request is None or len(self._buffer) < self._body_bytes:
            return
        request.body = bytes(self._buffer[: self._body_bytes])
        del self._buffer[: self._body_bytes]
        self._request = None
        self._busy = True
        self._stop_clock()
        self._handler.handle(self, request)

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or end > MAX_HEADER_BYTES:
            if len(self._buffer) > MAX_HEADER_BYTES:
                self._refuse(431, "The request's headers are too long.")
            elif self._buffer:
                self._start_clock()
            return False
        head = self._buffer[:end].decode("latin-1")
        del self._buffer[: end + 4]
        lines = head.lstrip("\r\n").split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        parts = lines[0].split(" ")
        if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
            self._refuse(400, "The request line is malformed.")
            return False
        return self._accept_head(Request(parts[0], parts[1], headers, b""), parts[2])

    def _accept_head(self, request: Request, version: str) -> bool:
        headers = request.headers
        if "transfer-encoding" in headers:
            self._refuse(501, "Transfer-Encoding is not supported: send a Content-Length.")
            return False
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            self._refuse(400, "The Content-Length is malformed.")
            return False
        self._body_bytes = int(length) if len(length) < 16 else MAX_BODY_BYTES + 1
        if self._body_bytes > MAX_BODY_BYTES:
            self._refuse(413, f"The request is longer than {MAX_BODY_BYTES} bytes.")
            return False
        connection = headers.get("connection", "").lower()
        self._keep_alive = connection != "close" and (version != "HTTP/1.0" or connection == "keep-alive")
        if headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._request = request
        if len(self._buffer) < self._body_bytes:
            self._start_clock()
        return True

    def _refuse(self, status: int, reason: str) -> None:
        self._busy = True
        self._keep_alive = False
        self._buffer.clear()
        self._stop_clock()
        self._handler.refuse(self, status, reason)

    def _start_clock(self) -> None:
        if self._timeout is None:
            loop = asyncio.get_running_loop()
            self._timeout = loop.call_later(REQUEST_SECONDS, self._refuse, 408, "The request was not completed.")

    def _stop_clock(self) -> None:
        if self._timeout is not None:
            self._timeout.cancel()
            self._timeout = None

    def reply(self, status: int, headers: bytes, body: bytes) -> None:
        """`headers`: whole lines, each with its line end. Then takes up the next request."""
        self.on_lost = None
        if self.lost or self._transport.is_closing():
            return
        ending = b"" if self._keep_alive else b"Connection: close\r\n"
        head = b"%b%bContent-Length: %d\r\n%b\r\n" % (_STATUS_LINES[status], headers, len(body), ending)
        self._transport.write(head + body)
        if not self._keep_alive:
            self._transport.close()
            return
        self._busy = False
        if self._buffer:
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        if not self._busy and not self.lost:
            self._next()

    def end(self) -> None:
        """Closes a connection that has no request waiting; one that has ends after its reply."""
        self._keep_alive = False
        if not self._busy:
            self._transport.close()
