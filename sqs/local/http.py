"""HTTP/1.1 as SDKs speak it: one request at a time on a connection that stays open."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

MAX_HEADER_BYTES: Final = 64 * 1024
MAX_BODY_BYTES: Final = 16 * 1024 * 1024  # a batch of 1 MiB, every byte escaped as \u00xx, and its attributes
REQUEST_SECONDS: Final = 30.0  # from its first byte, a request must be whole in this time
_HUNG_UP: Final = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR
_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
}
_STATUS_LINES: Final = {status: f"HTTP/1.1 {status} {text}\r\n".encode() for status, text in _REASONS.items()}
# All connections live on one thread, and each empties it before the next one reads.
_INBOX: Final = memoryview(bytearray(256 * 1024))


class Request(NamedTuple):
    """A whole request: its first line, its headers by their names in lower case, its body."""

    line: str
    headers: dict[str, str]
    body: bytes


class Handler(Protocol):
    """What answers requests, now or later, by `Connection.reply`."""

    def handle(self, connection: Connection, request: Request) -> None: ...

    def refuse(self, connection: Connection, status: int, reason: str) -> None:
        """The bytes were no request; the connection ends after the reply."""


class Connection(asyncio.BufferedProtocol):
    """One client. `on_lost` is called when it goes while a request waits for its answer."""

    def __init__(self, handler: Handler, connections: set[Connection]) -> None:
        self._handler = handler
        self._connections = connections
        self._buffer = bytearray()
        self._head: tuple[str, dict[str, str]] | None = None
        self._body_bytes = 0
        self._busy = False
        self._paused = False
        self._keep_alive = True
        self._timeout: asyncio.TimerHandle | None = None
        self._transport: Any = None
        self._poll: Any = None
        self.lost = False
        self.memo = ""  # what the handler wants to remember until its reply
        self.on_lost: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._connections.add(self)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._poll = select.poll()
            self._poll.register(sock, _HUNG_UP)

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

    def pause_writing(self) -> None:
        """The client does not read its answers: there are no more of them until it does."""
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._buffer:
            asyncio.get_running_loop().call_soon(self._go_on)

    def alive(self) -> bool:
        """Whether the client is still there, by what the kernel knows: its end may not have reached the loop yet."""
        if self.lost or self._transport.is_closing():
            return False
        return self._poll is None or not self._poll.poll(0)

    def get_buffer(self, sizehint: int) -> memoryview:
        return _INBOX

    def buffer_updated(self, nbytes: int) -> None:
        self._buffer += _INBOX[:nbytes]
        if not self._busy and not self._paused:
            self._next()
        elif len(self._buffer) > MAX_HEADER_BYTES + MAX_BODY_BYTES:
            self._transport.abort()

    def _next(self) -> None:
        """Starts on the next request if it is whole."""
        if self._head is None and not self._read_head():
            return
        if self._head is None or len(self._buffer) < self._body_bytes:
            return
        request = Request(*self._head, bytes(self._buffer[: self._body_bytes]))
        del self._buffer[: self._body_bytes]
        self._head = None
        self._busy = True
        if self._timeout is not None:
            self._stop_clock()
        self._handler.handle(self, request)

    def _read_head(self) -> bool:
        """Whether there is a whole head that asks for what we do; answers it otherwise."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or end > MAX_HEADER_BYTES:
            if len(self._buffer) > MAX_HEADER_BYTES:
                self._refuse(431, "The request's headers are too long.")
            elif self._buffer:
                self._start_clock()
            return False
        line, *rest = self._buffer[:end].decode("latin-1").lstrip("\r\n").split("\r\n")
        del self._buffer[: end + 4]
        if line.count(" ") != 2 or " HTTP/1." not in line:
            self._refuse(400, "The request line is malformed.")
            return False
        headers = {name.lower(): value.strip() for name, _, value in [header.partition(":") for header in rest]}
        if "transfer-encoding" in headers:
            self._refuse(501, "Transfer-Encoding is not supported: send a Content-Length.")
            return False
        length = headers.get("content-length") or "0"
        if not (length.isascii() and length.isdigit()):
            self._refuse(400, "The Content-Length is malformed.")
            return False
        if len(length) > 9 or int(length) > MAX_BODY_BYTES:
            self._refuse(413, f"The request is longer than {MAX_BODY_BYTES} bytes.")
            return False
        self._body_bytes = int(length)
        self._head = (line, headers)
        if "connection" in headers or line.endswith("1.0"):
            wish = headers.get("connection", "").lower()
            self._keep_alive = wish != "close" and (wish == "keep-alive" or not line.endswith("1.0"))
        if len(self._buffer) < self._body_bytes:
            self._start_clock()
            if headers.get("expect", "").lower() == "100-continue":
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
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
            reason = f"The request was not whole after {REQUEST_SECONDS:.0f} seconds."
            self._timeout = loop.call_later(REQUEST_SECONDS, self._refuse, 408, reason)

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
        self._transport.write(
            b"%bContent-Length: %d\r\n%b%b\r\n%b" % (_STATUS_LINES[status], len(body), headers, ending, body)
        )
        if not self._keep_alive:
            self._transport.close()
            return
        self._busy = False
        if self._buffer:
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        if not self._busy and not self._paused and not self.lost:
            self._next()

    def end(self) -> None:
        """Closes a connection that has no request waiting; one that has ends after its reply."""
        self._keep_alive = False
        if not self._busy:
            self._transport.close()
