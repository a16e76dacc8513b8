"""A whole server in this process: HTTP, protocol, store and journal, but no sockets and a clock of the test's own."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from celery_inference.sqs_local.dispatcher import Dispatcher
from celery_inference.sqs_local.http import server
from celery_inference.sqs_local.journal.commit_queue import MAX_TURNS
from celery_inference.sqs_local.journal.journal import Journal

CLEANING_SECONDS = 60
PIECE_BYTES = 64 * 1024
START_MS = 1_700_000_000_000
URL = "http://localhost/000000000000/q"


class Wire:
    """Stands for a transport: keeps what was written."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False
        self.reading = True
        self.unread = 0

    def get_extra_info(self, name: str) -> None:
        return None

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def get_write_buffer_size(self) -> int:
        return self.unread

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Refused(Exception):
    """An answer that is an error: its shape."""


class InProcessServer:
    """Call `close` in the end. `kill` and `restart` leave the data directory as a crash would."""

    def __init__(self, data: Path | None) -> None:
        self.now_ms = START_MS
        self.loop = asyncio.new_event_loop()
        self._data = data
        self._start()

    def _start(self) -> None:
        self._journal = Journal(self._data) if self._data else None
        self.service = Dispatcher(
            self._journal, region="us-east-1", failed=lambda error: None, now_ms=lambda: self.now_ms
        )
        self.lost_bytes = self.loop.run_until_complete(self._started())

    async def _started(self) -> int:
        return self.service.start()

    def restart(self) -> None:
        self.kill()
        self._start()

    def kill(self) -> None:
        if self.service._outbox is not None:
            self.service._outbox.stop()  # a process that is killed has no timers
        if self._journal is not None:
            self._journal.close()

    def close(self) -> None:
        self.kill()
        self.loop.close()

    def clean(self) -> None:
        """Waits until what is planned of the journal's cleaning is done."""

        async def cleaned() -> None:
            await asyncio.sleep(0)
            while self.service._cleaner._running:
                await asyncio.sleep(0.001)

        self.loop.run_until_complete(asyncio.wait_for(cleaned(), CLEANING_SECONDS))

    def connect(self) -> tuple[server.Connection, Wire]:
        connection, wire = server.Connection(self.service, set()), Wire()
        connection.connection_made(wire)  # type: ignore[arg-type]
        return connection, wire

    def call(self, operation: str, **fields: Any) -> dict[str, Any]:
        """The answer; raises Refused."""
        status, answer = self.exchange(request(operation, json.dumps(fields).encode()))
        if status != 200:
            raise Refused(answer["__type"].partition("#")[2])
        return answer

    def exchange(self, data: bytes) -> tuple[int, dict[str, Any]]:
        """Sends bytes on a connection of their own; gives status and answer."""

        async def run() -> bytes:
            connection, wire = self.connect()
            feed(connection, data)
            for _ in range(MAX_TURNS + 5):
                await asyncio.sleep(0)
            return wire.written

        return parsed(self.loop.run_until_complete(run()))


def request(operation: str, body: bytes, headers: str = "") -> bytes:
    head = f"POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: AmazonSQS.{operation}\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def feed(connection: server.Connection, data: bytes) -> None:
    """As the event loop would: in pieces."""
    for start in range(0, len(data), PIECE_BYTES):
        connection.data_received(data[start : start + PIECE_BYTES])


def parsed(answer: bytes) -> tuple[int, dict[str, Any]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def send(server: InProcessServer, body: str = "x", url: str = URL) -> str:
    return str(server.call("SendMessage", QueueUrl=url, MessageBody=body)["MessageId"])


def receive(server: InProcessServer, url: str = URL, **fields: int) -> list[dict]:
    asked = {"MaxNumberOfMessages": 10, "AttributeNames": ["All"], **fields}
    return list(server.call("ReceiveMessage", QueueUrl=url, **asked).get("Messages", []))
