"""Keeps the journal short: copies what still lives in its oldest segment to the end, then drops the segment.

The oldest goes first, so that what is dropped with it (deletes, leases, receives) speaks of messages that were in it
or are gone as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from sqs.local.errors import SqsError
from sqs.local.message import GONE, Message
from sqs.local.queue import Queue

if TYPE_CHECKING:
    from sqs.local.service import Service

MIN_SEGMENTS: Final = 4
MAX_BYTES_TO_LIVING: Final = 2.5  # the journal may be this many times as long as what lives in it
MESSAGE_BYTES: Final = 500  # of a line around the body, roughly
STEP_BYTES: Final = 1024 * 1024  # of bodies copied before other requests get their turn
STEP_ROOM_BYTES: Final = 5 * 1024 * 1024  # a step may exceed its bytes by one message, and escapes may double them
PAUSE_SECONDS: Final = 0.005
RETRY_SECONDS: Final = 30.0


class Cleaner:
    """Runs in steps on the event loop."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._running = False

    def plan(self, *, disk_full: bool = False) -> None:
        """Called when the journal has begun a segment, and when it cannot grow."""
        if not self._running and self._worthwhile(1 if disk_full else MIN_SEGMENTS):
            self._running = True
            asyncio.get_running_loop().call_soon(self._next_segment)

    def _worthwhile(self, kept_segments: int) -> bool:
        journal = self._service.journal
        if journal is None or len(journal.segments) <= kept_segments:
            return False
        queues = self._service.store.queues.values()
        living = sum(len(m.body) + MESSAGE_BYTES for queue in queues for m in queue.messages.values())
        return journal.length_bytes > MAX_BYTES_TO_LIVING * living

    def _next_segment(self) -> None:
        journal = self._service.journal
        assert journal is not None
        number = journal.segments[0].number
        self._step(number, iter(self._living_to(number)))

    def _living_to(self, number: int) -> list[tuple[Queue, Message]]:
        queues = self._service.store.queues.values()
        return [(q, m) for q in queues for m in q.messages.values() if m.segment <= number]

    def _step(self, number: int, living: Iterator[tuple[Queue, Message]]) -> None:
        if not self._make_room():
            if self._is_empty_to(number):
                self._drop(number)  # which is how a full disk gets room again
            else:
                asyncio.get_running_loop().call_later(RETRY_SECONDS, self._step, number, living)
            return
        copied_bytes = 0
        for queue, message in living:
            if message.state != GONE:
                self._service.store.note_message(queue, message)
                copied_bytes += len(message.body) + MESSAGE_BYTES
                if copied_bytes > STEP_BYTES:
                    break
        self._service.commit()
        if not copied_bytes:
            # A message that was moved to another queue meanwhile lives on as a copy that `living` does not know.
            rest = self._living_to(number)
            if not rest:
                self._drop(number)
                return
            living = iter(rest)
        asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._step, number, living)

    def _is_empty_to(self, number: int) -> bool:
        """Whether there is nothing to copy, so that dropping takes no room."""
        queues = self._service.store.queues.values()
        return not self._living_to(number) and not any(any(q.dedup.in_segments_to(number)) for q in queues)

    def _make_room(self) -> bool:
        try:
            self._service.make_room(STEP_ROOM_BYTES)
        except SqsError:
            return False
        return True

    def _drop(self, number: int) -> None:
        """Everything that lives is in later segments: makes sure that it is there, then removes the oldest."""
        service, journal = self._service, self._service.journal
        assert journal is not None
        service.store.note_deduplications(number, service.now_ms())
        service.commit()
        try:
            journal.sync()
        except OSError:
            return  # which the next answers find out, and the server ends
        journal.drop_oldest()
        self._running = False
        self.plan()
