"""Receives that wait: each queue's polls in the order they came, woken when a message becomes ready."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqs.local.errors import SqsError
from sqs.local.http import Connection
from sqs.local.message_operations import ReceiveRequest

if TYPE_CHECKING:
    from sqs.local.service import Service


@dataclass(slots=True, eq=False)
class Poll:
    """One ReceiveMessage, answered at once or by `ends_ms`."""

    connection: Connection
    request: ReceiveRequest
    ends_ms: int


class Polls:
    """All waiting polls of a service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._waiting: dict[str, deque[Poll]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ms = 0
        self._stopped = False

    def serve(self, poll: Poll) -> bool:
        """Answers the poll if there is a message or an error for it. A dead client gets, and takes, nothing."""
        service, request = self._service, poll.request
        if not poll.connection.alive():
            return True
        now_ms = service.now_ms()
        try:
            queue = service.store.queue(request.queue_name, now_ms)
            messages = service.store.receive(queue, request.count, request.visibility_ms, now_ms)
        except SqsError as error:
            if error.shape == "OverLimit" and poll.ends_ms > now_ms:
                return False
            service.answer_error(poll.connection, error)
            return True
        if not messages:
            return False
        service.commit()
        service.answer(poll.connection, request.answer(messages))
        return True

    def park(self, poll: Poll) -> bool:
        """Lets the poll wait; False where it has no time left to."""
        if self._stopped or poll.ends_ms <= self._service.now_ms():
            return False
        polls = self._waiting.setdefault(poll.request.queue_name, deque())
        polls.append(poll)
        poll.connection.on_lost = lambda: self._drop(poll)
        return True

    def serve_changed(self) -> None:
        """Gives what is ready to who waits, then sets the clock to the next moment at which that may change."""
        if not self._waiting:
            return
        now_ms = self._service.now_ms()
        for name in list(self._waiting):
            self._serve_queue(name, now_ms)
        self._service.commit()
        self._set_timer(now_ms)

    def _serve_queue(self, name: str, now_ms: int) -> None:
        polls = self._waiting[name]
        while polls and self.serve(polls[0]):
            polls.popleft().connection.on_lost = None
        late = [poll for poll in polls if poll.ends_ms <= now_ms]
        for poll in late:
            polls.remove(poll)
            poll.connection.on_lost = None
            self._service.answer(poll.connection, {})
        if not polls:
            del self._waiting[name]

    def _drop(self, poll: Poll) -> None:
        polls = self._waiting.get(poll.request.queue_name)
        if polls is not None and poll in polls:
            polls.remove(poll)
            if not polls:
                del self._waiting[poll.request.queue_name]

    def _set_timer(self, now_ms: int) -> None:
        times = [poll.ends_ms for polls in self._waiting.values() for poll in polls]
        for name in self._waiting:
            due_ms = self._service.store.queues[name].next_due_ms()
            if due_ms is not None:
                times.append(due_ms)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if times:
            delay = max(min(times) - now_ms, 1) / 1000
            self._timer = asyncio.get_running_loop().call_later(delay, self.serve_changed)

    def stop(self) -> None:
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        for polls in self._waiting.values():
            for poll in polls:
                self._service.answer(poll.connection, {})
        self._waiting = {}
