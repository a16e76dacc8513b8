"""Receives that wait: each queue's polls in the order they came, woken when a message becomes ready."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from celery_inference.sqs_local.http.errors import ApiError
from celery_inference.sqs_local.http.server import Connection
from celery_inference.sqs_local.journal.journal import ROOM_BYTES
from celery_inference.sqs_local.operations.receive import ReceiveRequest
from celery_inference.sqs_local.state.message import StoredMessage
from celery_inference.sqs_local.state.store import QueueStore


class Answers(Protocol):
    """What waiting polls need of `celery_inference.sqs_local.dispatcher`, which answers requests."""

    store: QueueStore

    @property
    def now_ms(self) -> Callable[[], int]: ...
    def commit(self) -> None: ...
    def make_room(self, room_bytes: int) -> None: ...
    def answer(self, connection: Connection, answer: dict[str, Any]) -> None: ...
    def answer_error(self, connection: Connection, error: ApiError) -> None: ...
    def answer_receive(
        self, connection: Connection, request: ReceiveRequest, messages: list[StoredMessage]
    ) -> None: ...


@dataclass(slots=True, eq=False)
class LongPoll:
    """One ReceiveMessage, answered at once or when its time is over."""

    connection: Connection
    request: ReceiveRequest
    timer: asyncio.TimerHandle | None = None

    def forget(self) -> None:
        self.connection.on_lost = None
        if self.timer is not None:
            self.timer.cancel()


@dataclass(slots=True)
class _Waiting:
    """The polls of one queue (a dict for its order), and when to look again for what becomes due."""

    polls: dict[LongPoll, None] = field(default_factory=dict)
    timer: asyncio.TimerHandle | None = None
    due_ms: int = 0


class LongPolls:
    """All waiting polls of a service."""

    def __init__(self, service: Answers) -> None:
        self._service = service
        self._queues: dict[str, _Waiting] = {}
        self._stopped = False

    def take(self, poll: LongPoll, now_ms: int) -> None:
        """Answers a new poll now, or lets it wait. There is room for its events."""
        if self._serve(poll, now_ms):
            return
        if self._stopped or not poll.request.wait_seconds:
            self._service.answer(poll.connection, {})
            return
        waiting = self._queues.setdefault(poll.request.queue_name, _Waiting())
        waiting.polls[poll] = None
        poll.connection.on_lost = lambda: self._drop(poll)
        poll.timer = asyncio.get_running_loop().call_later(poll.request.wait_seconds, self._time_over, poll)

    def _serve(self, poll: LongPoll, now_ms: int) -> bool:
        """Answers the poll if there is a message or an error for it. What a dead client was to get is taken back."""
        service, request = self._service, poll.request
        try:
            queue = service.store.peek(request.queue_name, now_ms)
            messages = request.receive(service.store, queue, now_ms)
        except ApiError as error:
            if error.shape == "OverLimit" and request.wait_seconds:
                return False
            service.answer_error(poll.connection, error)
            return True
        if not messages:
            return False
        service.answer_receive(poll.connection, request, messages)
        return True

    def _serve_waiting(self, poll: LongPoll) -> bool:
        self._service.commit()  # what the polls before it took up is not counted otherwise
        try:
            self._service.make_room(ROOM_BYTES)
        except ApiError as error:
            self._service.answer_error(poll.connection, error)
            return True
        return self._serve(poll, self._service.now_ms())

    def wake(self) -> None:
        """Gives what the last request has made ready to who waits for it."""
        touched = self._service.store.touched
        while touched:
            name = touched.pop()
            waiting = self._queues.get(name)
            if waiting is not None:
                self._wake(name, waiting)

    def _wake(self, name: str, waiting: _Waiting) -> None:
        while waiting.polls:
            poll = next(iter(waiting.polls))
            if not poll.connection.alive():
                poll.connection.abandon()
            elif not self._serve_waiting(poll):
                self._set_timer(name, waiting)
                return
            poll.forget()
            del waiting.polls[poll]
        self._forget(name, waiting)

    def _set_timer(self, name: str, waiting: _Waiting) -> None:
        due_ms = self._service.store.queues[name].next_due_ms()
        if due_ms is None or (waiting.timer is not None and waiting.due_ms <= due_ms):
            return
        if waiting.timer is not None:
            waiting.timer.cancel()
        waiting.due_ms = due_ms
        delay_seconds = max(due_ms - self._service.now_ms(), 1) / 1000
        waiting.timer = asyncio.get_running_loop().call_later(delay_seconds, self._due, name, waiting)

    def _due(self, name: str, waiting: _Waiting) -> None:
        waiting.timer = None
        self._service.store.touched.add(name)
        self.wake()
        self._service.commit()

    def _time_over(self, poll: LongPoll) -> None:
        self._drop(poll)
        poll.forget()
        self._service.answer(poll.connection, {})

    def _drop(self, poll: LongPoll) -> None:
        name = poll.request.queue_name
        waiting = self._queues.get(name)
        if waiting is not None and waiting.polls.pop(poll, poll) is None:
            poll.forget()
            if not waiting.polls:
                self._forget(name, waiting)

    def _forget(self, name: str, waiting: _Waiting) -> None:
        if waiting.timer is not None:
            waiting.timer.cancel()
        del self._queues[name]

    def stop(self) -> None:
        """Answers all polls, and from now on those that would wait."""
        self._stopped = True
        for waiting in list(self._queues.values()):
            for poll in list(waiting.polls):
                self._time_over(poll)
