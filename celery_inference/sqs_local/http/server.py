"""HTTP/1.1 as SDKs speak it: one request at a time on a connection that stays open."""

from __future__ import annotations

import asyncio
import select
import socket
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

MAX_HEADER_BYTES: Final = 64 * 1024
MAX_BODY_BYTES: Final = 16 * 1024 * 1024  # a batch of 1 MiB, every byte escaped as \u00xx, and its attributes
MAX_WAITING_BYTES: Final = 64 * 1024  # read from a client that has an answer coming: the rest is left to the kernel
REQUEST_SECONDS: Final = 30.0  # from its first byte, a request must be whole in this time
IDLE_SECONDS: Final = 300.0  # a client that asks nothing for so long is ended; SDKs connect anew by themselves
UNREAD_SECONDS: Final = 60.0  # a client that reads nothing of its answers for so long is gone
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


class Request(NamedTuple):
    """A whole request: its first line, its headers by their names in lower case, its body."""

    line: str
    headers: dict[str, str]
    body: bytes


class RequestHandler(Protocol):
    """What answers requests, now or later, by `Connection.reply`."""

    def handle(self, connection: Connection, request: Request) -> None: ...

    def refuse(self, connection: Connection, status: int, reason: str) -> None:
        """The bytes were no request; the connection ends after the reply."""


class Connection(asyncio.Protocol):
    """One client. `on_lost` is called when it goes while a request waits for its answer."""

    def __init__(self, handler: RequestHandler, connections: set[Connection]) -> None:
        self._handler = handler
        self._connections = connections
        self._buffer: bytes | bytearray = b""  # what came and is not answered yet
        self._head: tuple[str, dict[str, str]] | None = None
        self._body_start = self._body_end = 0  # in the buffer, once there is a head
        self._busy = False
        self._paused = False
        self._reading = True
        self._keep_alive = True
        self._timeout: asyncio.TimerHandle | None = None
        self._unread_timeout: asyncio.TimerHandle | None = None
        self._transport: Any = None
        self._poll: Any = None
        self._idle_since = 0.0
        self.lost = False
        self.memo = ""  # what the handler wants to remember until its reply
        self.on_lost: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._connections.add(self)
        self._idle_since = time.monotonic()
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
        self._stop_unread_clock()
        on_lost, self.on_lost = self.on_lost, None
        if on_lost is not None:
            on_lost()

    def pause_writing(self) -> None:
        """The client does not read its answers: there are no more of them until it does."""
        self._paused = True
        self._watch_unread(self._transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self._paused = False
        self._stop_unread_clock()
        if self._buffer or not self._reading:
            asyncio.get_running_loop().call_soon(self._go_on)

    def _watch_unread(self, unread_bytes: int) -> None:
        loop = asyncio.get_running_loop()
        self._unread_timeout = loop.call_later(UNREAD_SECONDS, self._end_unless_read, unread_bytes)

    def _end_unless_read(self, before_bytes: int) -> None:
        unread_bytes = self._transport.get_write_buffer_size()
        if unread_bytes < before_bytes:
            self._watch_unread(unread_bytes)
        else:
            self._transport.abort()

    def abandon(self) -> None:
        """Of a client that is not `alive`: while nothing is read from it, the loop does not see its end."""
        self._transport.abort()

    def alive(self) -> bool:
        """Whether the client is still there, by what the kernel knows: its end may not have reached the loop yet."""
        if self.lost or self._transport.is_closing():
            return False
        return self._poll is None or not self._poll.poll(0)

    def data_received(self, data: bytes) -> None:
        if not self._buffer:
            self._buffer = data
        else:
            if isinstance(self._buffer, bytes):
                self._buffer = bytearray(self._buffer)
            self._buffer += data
        if not self._busy and not self._paused:
            self._next()
        elif self._reading and len(self._buffer) > MAX_WAITING_BYTES:
            self._reading = False
            self._transport.pause_reading()

    def _next(self) -> None:
        """Starts on the next request if it is whole."""
        head = self._head or self._read_head()
        if head is None or len(self._buffer) < self._body_end:
            if not self._reading:
                self._reading = True
                self._transport.resume_reading()
            return
        request = Request(*head, bytes(self._buffer[self._body_start : self._body_end]))
        if isinstance(self._buffer, bytes):
            self._buffer = self._buffer[self._body_end :]
        else:
            del self._buffer[: self._body_end]
        self._head = None
        self._busy = True
        if self._timeout is not None:
            self._stop_clock()
        self._handler.handle(self, request)

    def _read_head(self) -> tuple[str, dict[str, str]] | None:
        """The head, if it is whole and asks for what we do; answers it if it does not."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or end > MAX_HEADER_BYTES:
            if len(self._buffer) > MAX_HEADER_BYTES:
                self._refuse(431, "The request's headers are too long.")
            elif self._buffer:
                self._start_clock()
            return None
        line, *rest = self._buffer[:end].decode("latin-1").lstrip("\r\n").split("\r\n")
        if line.count(" ") != 2 or " HTTP/1." not in line:
            self._refuse(400, "The request line is malformed.")
            return None
        headers = {}
        for header in rest:
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        if "transfer-encoding" in headers:
            self._refuse(501, "Transfer-Encoding is not supported: send a Content-Length.")
            return None
        length = headers.get("content-length") or "0"
        if not (length.isascii() and length.isdigit()):
            self._refuse(400, "The Content-Length is malformed.")
            return None
        if len(length) > 9 or int(length) > MAX_BODY_BYTES:
            self._refuse(413, f"The request is longer than {MAX_BODY_BYTES} bytes.")
            return None
        self._body_start = end + 4
        self._body_end = self._body_start + int(length)
        self._head = (line, headers)
        if "connection" in headers or line.endswith("1.0"):
            wish = headers.get("connection", "").lower()
            self._keep_alive = wish != "close" and (wish == "keep-alive" or not line.endswith("1.0"))
        if len(self._buffer) < self._body_end:
            self._start_clock()
            if headers.get("expect", "").lower() == "100-continue":
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return self._head

    def _refuse(self, status: int, reason: str) -> None:
        self._busy = True
        self._keep_alive = False
        self._buffer = b""
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

    def _stop_unread_clock(self) -> None:
        if self._unread_timeout is not None:
            self._unread_timeout.cancel()
            self._unread_timeout = None

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
        self._idle_since = time.monotonic()
        if self._buffer or not self._reading:
            asyncio.get_running_loop().call_soon(self._go_on)

    def end_if_idle(self, before: float) -> None:
        """Closes a connection whose last answer, or which itself, is older than this monotonic time."""
        if not self._busy and not self._buffer and self._idle_since < before:
            self._transport.close()

    def _go_on(self) -> None:
        if not self._busy and not self._paused and not self.lost:
            self._next()

    def end(self) -> None:
        """Closes a connection that has no request waiting; one that has ends after its reply."""
        self._keep_alive = False
        if not self._busy:
            self._transport.close()
