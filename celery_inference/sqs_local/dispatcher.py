"""Requests in, answers out: dispatches operations, and answers when the journal has on disk what was decided."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from celery_inference.sqs_local.clock import Clock
from celery_inference.sqs_local.http import json_protocol, query_protocol
from celery_inference.sqs_local.http.errors import ApiError, unavailable, unknown_action, unknown_operation
from celery_inference.sqs_local.http.server import Connection, Request
from celery_inference.sqs_local.journal.commit_queue import CommitQueue, Delivered, Reply
from celery_inference.sqs_local.journal.compaction import Compaction
from celery_inference.sqs_local.journal.journal import ROOM_BYTES, Journal, JournalFull
from celery_inference.sqs_local.journal.replay import apply, finish
from celery_inference.sqs_local.long_polls import LongPoll, LongPolls
from celery_inference.sqs_local.operations.messages import MESSAGE_OPERATIONS
from celery_inference.sqs_local.operations.move_tasks import MOVE_OPERATIONS
from celery_inference.sqs_local.operations.queues import QUEUE_OPERATIONS, Answer, Call
from celery_inference.sqs_local.operations.receive import ReceiveRequest
from celery_inference.sqs_local.state.ids import new_message_id
from celery_inference.sqs_local.state.message import StoredMessage
from celery_inference.sqs_local.state.move_tasks import STEP_ROOM_BYTES, MoveTasks
from celery_inference.sqs_local.state.store import QueueStore

_RECEIVE: Final = "ReceiveMessage"
_OPERATIONS: Final = {**QUEUE_OPERATIONS, **MESSAGE_OPERATIONS, **MOVE_OPERATIONS}
_GROWING: Final = frozenset(("SendMessage", "SendMessageBatch", "CreateQueue", "SetQueueAttributes", "TagQueue"))
# What such a request stores at most: checks let 1 MiB of messages pass, and escapes may double it.
_MAX_STORED_BYTES: Final = 4 * 1024 * 1024
# GET of this path answers how often each operation was asked for: what AWS would bill, and benchmarks report.
CALLS_PATH: Final = "/_local/calls"
_CALLS_REQUEST: Final = f"GET {CALLS_PATH} "
_MOST_HOSTS: Final = 16
_FOREIGN_HOST: Final = "The request is for another host: this server answers on this machine's own address alone."
_MOVE_STEP_SECONDS: Final = 0.02
# Their answers rest on nothing that a power failure could take back: what they name was handed out from the disk.
_REPEATABLE: Final = frozenset(
    ("DeleteMessage", "DeleteMessageBatch", "ChangeMessageVisibility", "ChangeMessageVisibilityBatch")
)
_SWEEP_SECONDS: Final = 30.0  # how late an expired message may leave the memory where nobody asks for its queue


class Dispatcher:
    """One store, its journal (None: nothing is kept), the polls that wait and the moves that run.

    Lives on the event loop's thread.
    """

    def __init__(
        self,
        journal: Journal | None,
        *,
        region: str,
        failed: Callable[[OSError], None],
        now_ms: Callable[[], int] | None = None,
        loopback: bool = False,
    ) -> None:
        """`failed` is called when the journal cannot be written any more: the store then knows more than the disk.

        `loopback`: only this machine reaches it, so that a request for another host is a web page's.
        """
        self._loopback = loopback
        self._hosts: set[str] = set()  # that were found to be this machine's
        self.store = QueueStore(new_message_id, region=region)
        self.moves = MoveTasks(self.store)
        self.journal = journal
        self._failed = failed
        self.now_ms = now_ms or Clock().now_ms
        self._polls = LongPolls(self)
        self._cleaner = Compaction(self)
        self._outbox: CommitQueue | None = None
        self._stepping = False
        self._request_ids = itertools.count(1)
        self._request_prefix = new_message_id()[:24]
        self._calls: Counter[str] = Counter()

    def start(self) -> int:
        """Reads the journal. Gives how many bytes behind its last whole line were cut off."""
        lost = 0
        if self.journal is not None:
            now_ms = self.now_ms()
            for segment, events in self.journal.read():
                for event in events:
                    apply(self.store, self.moves, event, segment, now_ms)
            finish(self.store, now_ms)
            lost = self.journal.start(self._header())
            self.store.segment = self.journal.number
            self._outbox = CommitQueue(
                self.journal,
                send=self._send,
                failed=self._journal_failed,
                next_sequence=lambda: self.store.next_sequence,
            )
            self._cleaner.plan()
        self._plan_step()
        self._sweep()
        return lost

    def handle(self, connection: Connection, request: Request) -> None:
        """Answers the request, or lets it wait for a message."""
        if self._loopback and (host := request.headers.get("host", "")) not in self._hosts:
            if not _is_loopback(host):
                connection.memo = ""
                self.answer_error(connection, ApiError("AccessDenied", _FOREIGN_HOST, status=403))
                return
            if len(self._hosts) < _MOST_HOSTS:
                self._hosts.add(host)
        if request.line.startswith(_CALLS_REQUEST):
            connection.memo = ""
            self.answer(connection, dict(self._calls))
            return
        try:
            operation, params = _parsed(connection, request)
            self._calls[operation] += 1
            growing = operation in _GROWING
            stored_bytes = min(2 * len(request.body), _MAX_STORED_BYTES) if growing else 0
            self.make_room(stored_bytes + ROOM_BYTES, growing=growing)
            now_ms = self.now_ms()
            call = Call(self.store, self.moves, params, now_ms, request, new_message_id)
            if operation == _RECEIVE:
                self._polls.take(LongPoll(connection, ReceiveRequest.of(call)), now_ms)
            else:
                self.answer(connection, _OPERATIONS[operation](call), durable=operation not in _REPEATABLE)
        except ApiError as error:
            self.answer_error(connection, error)
        except Exception as error:
            # A mistake of ours: the caller gets an answer, the log the traceback, and the server lives.
            context = {"message": "celery_inference.sqs_local: a request failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
            self.answer_error(connection, ApiError("InternalFailure", "An internal error occurred.", status=500))
        self._wake()
        if self.moves.running and not self._stepping:
            self._plan_step()

    def _wake(self) -> None:
        self._polls.wake()
        self.commit()

    def refuse(self, connection: Connection, status: int, reason: str) -> None:
        self.answer_error(connection, ApiError("SerializationException", reason, status=status))

    def make_room(self, room_bytes: int, *, growing: bool = False) -> None:
        """Raises ApiError (503) where the disk has no room for this many bytes. See Journal.make_room."""
        journal = self.journal
        if journal is None or journal.has_room(room_bytes, growing=growing):
            return
        self.commit()
        try:
            journal.make_room(room_bytes, self._header, growing=growing)
        except JournalFull as error:
            self._cleaner.plan(disk_full=True)
            raise unavailable(f"The request was not carried out: nothing can be written to disk: {error}") from error
        if journal.number != self.store.segment:
            self._turned(journal)

    def turn(self) -> None:
        """Begins a new segment of the journal. Raises OSError where the disk has no room."""
        if self.journal is not None:
            self.commit()
            self.journal.turn(self._header)
            self._turned(self.journal)

    def _turned(self, journal: Journal) -> None:
        if self._outbox is not None:
            self._outbox.plan(must_sync=True)
        self.store.segment = journal.number
        self._cleaner.plan(disk_full=not journal.has_spare)

    def _header(self) -> list[Any]:
        """What each segment begins with, so that older ones can be dropped. Nothing else may be uncommitted."""
        for queue in self.store.queues.values():
            self.store.record_queue(queue)
        self.moves.record_all()
        return [["next", self.store.next_sequence], *self.store.take_events()]

    def commit(self) -> None:
        """What the store has decided goes to the journal."""
        if self.store.events and not self._record_events() and self._outbox is not None:
            self._outbox.plan(must_sync=False)

    def _record_events(self) -> bool:
        """The same, to be written with the answer that follows. Whether it must be synced before anybody is told."""
        if not self.store.events:
            return False
        events = self.store.take_events()
        return self._outbox is not None and self._outbox.append(events)

    def answer(
        self, connection: Connection, answer: Answer, delivered: Delivered | None = None, *, durable: bool = True
    ) -> None:
        """Answers when everything that the answer may rest on is on disk; written is enough if not `durable`."""
        durable = self._record_events() or durable
        request_id = self._request_id()
        if connection.memo:
            headers, body = query_protocol.shown(connection.memo, answer, request_id)
        else:
            headers, body = json_protocol.shown(answer, request_id)
        self._reply(Reply(connection, 200, headers, body, delivered), durable)

    def answer_receive(self, connection: Connection, request: ReceiveRequest, messages: list[StoredMessage]) -> None:
        delivered = Delivered(request.queue_name, [(message.id, message.receive_count) for message in messages])
        on_disk_to = self._outbox.on_disk_to if self._outbox is not None else 0
        # Of a dead letter the disk may not know yet that it is one.
        durable = any(message.sequence >= on_disk_to or message.source_arn for message in messages)
        self.answer(connection, request.answer(messages), delivered, durable=durable)

    def answer_error(self, connection: Connection, error: ApiError) -> None:
        self._record_events()
        self._reply(self._refusal(connection, error), durable=True)

    def _refusal(self, connection: Connection, error: ApiError) -> Reply:
        show = query_protocol.shown_error if connection.memo else json_protocol.shown_error
        return Reply(connection, error.status, *show(error, self._request_id()), None)

    def _request_id(self) -> str:
        return f"{self._request_prefix}{next(self._request_ids):012x}"

    def _reply(self, reply: Reply, durable: bool) -> None:
        if self._outbox is None:
            self._send(reply)
        else:
            self._outbox.reply(reply, durable=durable)

    def _send(self, reply: Reply) -> None:
        if reply.delivered is not None and not reply.connection.alive():
            reply.connection.abandon()
            self.store.give_back(*reply.delivered, self.now_ms())
            self.commit()
            # Not at once: polls may just be woken, and this be the answer to one.
            asyncio.get_running_loop().call_soon(self._wake)
            return
        reply.connection.reply(reply.status, reply.headers, reply.body)

    def _journal_failed(self, error: OSError, unsent: list[Reply]) -> None:
        failure = ApiError("InternalFailure", str(error), status=500)
        self._failed(error)
        for reply in unsent:
            self._send(self._refusal(reply.connection, failure))

    def _plan_step(self) -> None:
        self._stepping = bool(self.moves.running)
        if self._stepping:
            asyncio.get_running_loop().call_later(_MOVE_STEP_SECONDS, self._step)

    def _step(self) -> None:
        for id_ in self.moves.running:
            try:
                self.make_room(STEP_ROOM_BYTES, growing=True)
            except ApiError:
                break  # A full disk: the moves go on when there is room.
            self.moves.step(id_, self.now_ms())
            self.commit()
        self._wake()
        self._plan_step()

    def _sweep(self) -> None:
        if self.journal is not None and not self.journal.has_spare:
            self._cleaner.plan(disk_full=True)
        for queue in self.store.queues.values():
            queue.dedup.drop_old(self.now_ms())
            try:
                self.make_room(ROOM_BYTES)
            except ApiError:
                break  # A full disk: they leave when there is room.
            self.store.advance(queue, self.now_ms())
            self.commit()
        asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)

    def stop(self) -> None:
        """Answers all long polls. What comes now is still answered, until the journal is closed."""
        self._polls.stop()
        if self._outbox is not None:
            self._outbox.stop()


def _is_loopback(host: str) -> bool:
    """Whether a Host header names this machine, or nothing. A web page can have its own name resolve to 127.0.0.1."""
    try:
        name = urlsplit(f"//{host}").hostname if host else "localhost"
        return name is not None and (name == "localhost" or ip_address(name).is_loopback)
    except ValueError:
        return False


def _parsed(connection: Connection, request: Request) -> tuple[str, dict[str, Any]]:
    """Notes on the connection in which protocol to answer: the operation of a query, or nothing."""
    older = query_protocol.is_query(request)
    connection.memo = "Query" if older else ""
    if not request.line.startswith("POST "):
        raise ApiError("InvalidAction", "Only POST is supported.", status=405)
    if "origin" in request.headers:
        # No SDK sends it. A browser does, and any web page may make it post a form to a server on this machine.
        raise ApiError("AccessDenied", "Requests of web pages are not answered.", status=403)
    operation, params = query_protocol.parsed(request) if older else json_protocol.parsed(request)
    if older:
        connection.memo = operation
    if operation != _RECEIVE and operation not in _OPERATIONS:
        raise unknown_action(operation) if older else unknown_operation(operation)
    return operation, params
