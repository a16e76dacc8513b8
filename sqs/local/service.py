"""Requests in, answers out: dispatches operations, parks long polls, and answers when the journal has it on disk."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

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
CALLS_REQUEST: Final = f"GET {CALLS_PATH} ".encode()
_GROWING: Final = ("SendMessage", "SendMessageBatch", "CreateQueue", "SetQueueAttributes", "TagQueue")
_encode = json.JSONEncoder(separators=(",", ":")).encode
_decode = json.JSONDecoder().decode


def new_message_id() -> str:
    """A version 4 UUID; uuid4() takes five times as long."""
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


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
        self.store = Store(new_message_id, region=region)
        self._journal = journal
        self._failed = failed
        self._clock = Clock()
        self._polls = Polls(self)
        self._sync_planned = False
        self._unsent: list[tuple[Connection, int, bytes, bytes]] = []
        self._request_ids = itertools.count(1)
        self._request_prefix = new_message_id()[:24]
        self._calls: Counter[str] = Counter()

    def start(self) -> int:
        """Reads the journal; gives how many bytes of an unfinished write were dropped."""
        if self._journal is None:
            return 0
        for segment, events in self._journal.read():
            for event in events:
                apply(self.store, event, segment)
        finish(self.store)
        lost = self._journal.start(self._header())
        self.store.segment = self._journal.number
        return lost

    def now_ms(self) -> int:
        return self._clock.now_ms()

    def handle(self, connection: Connection, request: Request) -> None:
        if request.head.startswith(CALLS_REQUEST):
            self.answer(connection, dict(self._calls))
            return
        try:
            operation, params = _parsed(request)
            if operation in _OPERATIONS or operation == "ReceiveMessage":
                self._calls[operation] += 1
            self._make_room(operation, len(request.body))
            host = request.header(b"host") or "127.0.0.1"
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
            self._plan_sync()

    def _plan_sync(self) -> None:
        if not self._sync_planned:
            self._sync_planned = True
            asyncio.get_running_loop().call_soon(self._sync)

    def _sync(self) -> None:
        """Ends a group: what was decided since the last one goes to disk, and the answers out."""
        assert self._journal is not None
        self._sync_planned = False
        unsent, self._unsent = self._unsent, []
        try:
            self._journal.sync()
        except OSError as error:
            self._failed(error)
            body = _encode({"__type": "com.amazonaws.sqs#InternalFailure", "message": str(error)}).encode()
            unsent = [(connection, 500, headers, body) for connection, _, headers, _ in unsent]
        for connection, status, headers, body in unsent:
            connection.reply(status, headers, body)

    def _make_room(self, operation: str, body_bytes: int) -> None:
        if self._journal is None:
            return
        growing = operation in _GROWING
        room_bytes = body_bytes + _SMALL_BYTES + (_RESERVE_BYTES if growing else 0)
        try:
            self._journal.require(room_bytes, self._header)
        except JournalFull as error:
            raise unavailable(f"The request was not carried out, nothing can be written to disk: {error}") from error
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

        if self._journal is not None and self._journal.pending:
            self._unsent.append((connection, status, headers, body))
            self._plan_sync()
        else:
            connection.reply(status, headers, body)

    def stop(self) -> None:
        """Answers all long polls."""
        self._polls.stop()


def _parsed(request: Request) -> tuple[str, dict[str, Any]]:
    if not request.head.startswith(b"POST "):
        raise SqsError("InvalidAction", "Only POST is supported.", status=405)
    target = request.header(b"x-amz-target")
    if not target.startswith(_TARGET):
        raise SqsError("InvalidAction", "The header X-Amz-Target must name an operation of AmazonSQS.")
    try:
        params = _decode(request.body.decode()) if request.body else {}
    except (ValueError, RecursionError):
        raise malformed("The request is not JSON.") from None
    if not isinstance(params, dict):
        raise malformed("The request must be a JSON object.")
    return target[len(_TARGET) :], params
