"""Requests in, answers out: dispatches operations, parks long polls, and answers when the journal has it on disk."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final
from uuid import uuid4

from sqs.local.errors import SqsError, malformed, unavailable, unknown_operation
from sqs.local.http import Connection, Request
from sqs.local.journal import Journal, JournalFull
from sqs.local.message_operations import MESSAGE_OPERATIONS, ReceiveRequest
from sqs.local.operations import QUEUE_OPERATIONS, Answer, Call
from sqs.local.polls import Poll, Polls
from sqs.local.replay import apply, finish
from sqs.local.store import Store

_TARGET: Final = "AmazonSQS."
_OPERATIONS: Final = {**QUEUE_OPERATIONS, **MESSAGE_OPERATIONS}
# Sends stop while this much is still left in the segment, so that receives and deletes can go on on a full disk.
_RESERVE_BYTES: Final = 256 * 1024
_SMALL_BYTES: Final = 64 * 1024
# GET of this path answers how often each operation was asked for: what AWS would bill, and benchmarks report.
CALLS_PATH: Final = "/_local/calls"
_GROWING: Final = ("SendMessage", "SendMessageBatch", "CreateQueue", "SetQueueAttributes", "TagQueue")
_encode = json.JSONEncoder(separators=(",", ":")).encode
_decode = json.JSONDecoder().decode


class Clock:
    """Milliseconds since the epoch that never go backwards within one run."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now_ms(self) -> int:
        return int((time.monotonic() + self._offset) * 1000)


class Service:
    """One store, its journal (None: nothing is kept) and the polls that wait for messages. Lives on the event loop."""

    def __init__(self, journal: Journal | None, *, region: str, failed: Callable[[OSError], None]) -> None:
        """`failed` is called when the journal cannot be written any more: the store then knows more than the disk."""
        self.store = Store(lambda: str(uuid4()), region=region)
        self._journal = journal
        self._failed = failed
        self._clock = Clock()
        self._polls = Polls(self)
        self._request_ids = itertools.count(1)
        self._request_prefix = str(uuid4())[:24]
        self._calls: Counter[str] = Counter()

    def start(self, loop: asyncio.AbstractEventLoop) -> int:
        """Reads the journal; gives how many bytes of an unfinished write were dropped."""
        if self._journal is None:
            return 0
        for segment, events in self._journal.read():
            for event in events:
                apply(self.store, event, segment)
        finish(self.store)
        lost = self._journal.start(loop, self._header())
        self.store.segment = self._journal.number
        return lost

    def now_ms(self) -> int:
        return self._clock.now_ms()

    def handle(self, connection: Connection, request: Request) -> None:
        if request.method == "GET" and request.path == CALLS_PATH:
            self.answer(connection, dict(self._calls))
            return
        try:
            operation, params = _parsed(request)
            if operation in _OPERATIONS or operation == "ReceiveMessage":
                self._calls[operation] += 1
            self._make_room(operation, len(request.body))
            host = request.headers.get("host", "127.0.0.1")
            call = Call(self.store, params, self._clock.now_ms(), f"http://{host}")
            if operation == "ReceiveMessage":
                self._receive(connection, call)
                return
            act = _OPERATIONS.get(operation)
            if act is None:
                raise unknown_operation(operation)
            answer = act(call)
        except SqsError as error:
            self.answer_error(connection, error)
        except Exception as error:
            self._answer_fault(connection, error)
        else:
            self.commit()
            self.answer(connection, answer)
            self._polls.serve_changed()

    def refuse(self, connection: Connection, status: int, reason: str) -> None:
        self.answer_error(connection, SqsError("SerializationException", reason, status=status))

    def _receive(self, connection: Connection, call: Call) -> None:
        request = ReceiveRequest.of(call)
        poll = Poll(connection, request, call.now_ms + request.wait_seconds * 1000)
        if not self._polls.serve(poll) and not self._polls.park(poll):
            self.commit()
            self.answer(connection, {})
        self._polls.serve_changed()

    def commit(self) -> None:
        events = self.store.take_events()
        if events and self._journal is not None:
            self._journal.append(events)

    def _make_room(self, operation: str, body_bytes: int) -> None:
        if self._journal is None:
            return
        growing = operation in _GROWING
        room_bytes = body_bytes + _SMALL_BYTES + (_RESERVE_BYTES if growing else 0)
        try:
            self._journal.require(room_bytes, self._header)
        except JournalFull as error:
            raise unavailable(
                f"The request was not carried out, nothing can be written to disk: {error}"
            ) from error
        self.store.segment = self._journal.number

    def _header(self) -> list[Any]:
        """What each segment begins with, so that older ones can be dropped."""
        kept = self.store.take_events()
        for queue in self.store.queues.values():
            self.store.note_queue(queue)
        header = [["next", self.store.next_sequence], *self.store.take_events()]
        self.store.events = list(kept)
        return header

    def answer(self, connection: Connection, answer: Answer) -> None:
        self._reply(connection, 200, b"", _encode(answer).encode())

    def answer_error(self, connection: Connection, error: SqsError) -> None:
        fault = "Receiver" if error.receiver_fault else "Sender"
        header = f"x-amzn-query-error: {error.query_code};{fault}\r\n".encode()
        body = _encode({"__type": f"com.amazonaws.sqs#{error.shape}", "message": error.message}).encode()
        self.commit()
        self._reply(connection, error.status, header, body)

    def _answer_fault(self, connection: Connection, error: Exception) -> None:
        """A mistake of ours: the caller gets an answer, the log the traceback, and the server lives."""
        asyncio.get_running_loop().call_exception_handler(
            {"message": "sqs.local: a request failed", "exception": error}
        )
        self.answer_error(connection, SqsError("InternalFailure", "An internal error occurred.", status=500))

    def _reply(self, connection: Connection, status: int, headers: bytes, body: bytes) -> None:
        """Answers as soon as everything that the answer may rest on is on disk."""
        request_id = f"{self._request_prefix}{next(self._request_ids):012x}".encode()
        headers += b"Content-Type: application/x-amz-json-1.0\r\nx-amzn-RequestId: %b\r\n" % request_id

        def now(error: OSError | None) -> None:
            if error is None:
                connection.reply(status, headers, body)
                return
            self._failed(error)
            failure = _encode({"__type": "com.amazonaws.sqs#InternalFailure", "message": str(error)}).encode()
            connection.reply(500, headers, failure)

        if self._journal is None:
            now(None)
        else:
            self._journal.when_durable(now)

    def stop(self) -> None:
        """Answers all long polls."""
        self._polls.stop()


def _parsed(request: Request) -> tuple[str, dict[str, Any]]:
    if request.method != "POST":
        raise SqsError("InvalidAction", f"{request.method} is not supported: POST a request.", status=405)
    target = request.headers.get("x-amz-target", "")
    if not target.startswith(_TARGET):
        raise SqsError("InvalidAction", "The header X-Amz-Target must name an operation of AmazonSQS.")
    try:
        params = _decode(request.body.decode()) if request.body else {}
    except (ValueError, RecursionError):
        raise malformed("The request is not JSON.") from None
    if not isinstance(params, dict):
        raise malformed("The request must be a JSON object.")
    return target[len(_TARGET) :], params
