"""An HTTP proxy in front of an SQS server that misbehaves on demand, by operation.

It speaks whichever of SQS's two protocols it is asked in.

Runs in a thread of its own with an event loop; a client that hangs up is hung up on upstream, too.
"""

import asyncio
import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import parse_qs

ANY = "*"
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Fault:
    """What happens to a request. Applied after `latency_seconds`; kinds:

    none    only the latency
    status  answered with `status` and an error `code`, not forwarded
    hang    never answered, not forwarded
    reset   the connection is reset, not forwarded
    half    forwarded; half of the answer comes, then the connection ends
    lost    forwarded; the connection is reset instead of an answer
    """

    kind: str = "none"
    latency_seconds: float = 0.0
    status: int = 503
    code: str = "ServiceUnavailable"
    times: int | None = None  # None: until healed


class FaultProxy:
    """`with FaultProxy(upstream_port) as proxy:` listens on `proxy.port` of loopback."""

    def __init__(self, upstream_port: int) -> None:
        self._upstream_port = upstream_port
        self._faults: dict[str, Fault] = {}
        self._left: dict[str, int] = {}
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._healed = asyncio.Event()
        self.port = 0
        self.requests: Counter[str] = Counter()
        self.watch: Callable[[str, bytes], None] = lambda operation, answer: None  # in its thread

    def __enter__(self) -> "FaultProxy":
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._thread.start()
        self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.heal()
        self._wait(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def fail(self, operation: str, fault: Fault) -> None:
        """Let an operation (or ANY) suffer the fault from now on."""
        with self._lock:
            self._faults[operation] = fault
            if fault.times is not None:
                self._left[operation] = fault.times
            else:
                self._left.pop(operation, None)

    def heal(self) -> None:
        """No more faults; hung requests are cut off."""
        with self._lock:
            self._faults.clear()
        self._loop.call_soon_threadsafe(self._let_go)

    def _let_go(self) -> None:
        self._healed.set()
        self._healed = asyncio.Event()

    def listen(self) -> None:
        """Accept connections, on the same port as before."""
        self._wait(self._open())

    def refuse(self) -> None:
        """Close everything; connections are refused until `listen`."""
        self._wait(self._shut())

    def _wait(self, coroutine: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()

    async def _end(self) -> None:
        await self._shut()
        serving = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    def _fault_for(self, operation: str) -> Fault:
        with self._lock:
            self.requests[operation] += 1
            for name in (operation, ANY):
                fault = self._faults.get(name)
                if fault is None:
                    continue
                if name in self._left:
                    self._left[name] -= 1
                    if self._left[name] <= 0:
                        del self._faults[name], self._left[name]
                return fault
        return Fault()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while True:
                head, body = await _read_message(reader)
                operation = _operation(head, body)
                fault = self._fault_for(operation)
                await asyncio.sleep(fault.latency_seconds)
                if fault.kind == "hang":
                    await self._hang(reader)
                    return
                if fault.kind == "reset":
                    _reset(writer)
                    return
                if fault.kind == "status":
                    writer.write(_error(fault, by_query=_target(head) is None))
                    await writer.drain()
                    continue
                if upstream is None:
                    upstream = await asyncio.open_connection("127.0.0.1", self._upstream_port)
                    self._writers.add(upstream[1])
                upstream[1].write(head + body)
                await upstream[1].drain()
                answer = await self._answer(reader, upstream[0])
                if answer is None:
                    return
                self.watch(operation, answer.partition(b"\r\n\r\n")[2])
                if fault.kind == "lost":
                    _reset(writer)
                    return
                if fault.kind == "half":
                    writer.write(answer[: max(1, len(answer) - 20)])
                    await writer.drain()
                    return
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            for each in (writer, upstream[1] if upstream else None):
                if each is not None:
                    self._writers.discard(each)
                    each.close()

    async def _hang(self, reader: asyncio.StreamReader) -> None:
        healed = self._healed
        while not healed.is_set() and not reader.at_eof():
            await asyncio.sleep(POLL_SECONDS)

    async def _answer(self, client: asyncio.StreamReader, upstream: asyncio.StreamReader) -> bytes | None:
        """The upstream's answer; None when the client went away first."""
        reading = asyncio.ensure_future(_read_message(upstream))
        while not reading.done():
            await asyncio.wait([reading], timeout=POLL_SECONDS)
            if client.at_eof() and not reading.done():
                reading.cancel()
                return None
        head, body = reading.result()
        return head + body


async def _read_message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
    return head, await reader.readexactly(length)


def _target(head: bytes) -> str | None:
    """What names the operation where JSON is spoken."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"x-amz-target":
            return value.strip().decode()
    return None


def _operation(head: bytes, body: bytes) -> str:
    target = _target(head)
    return parse_qs(body.decode()).get("Action", ["unknown"])[0] if target is None else target.rpartition(".")[2]


def _error(fault: Fault, *, by_query: bool) -> bytes:
    kind, body = answer_of_error(fault.code, "made up by the fault proxy", by_query=by_query)
    return (
        f"HTTP/1.1 {fault.status} Fault\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def answer_of_error(code: str, message: str, *, by_query: bool) -> tuple[str, str]:
    """Content type and body of an error, in JSON or as SQS's older query protocol has it."""
    if by_query:
        error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        return "text/xml", f"<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>"
    return "application/x-amz-json-1.0", json.dumps({"__type": f"com.amazonaws.sqs#{code}", "message": message})


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
