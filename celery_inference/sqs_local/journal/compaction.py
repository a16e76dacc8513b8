"""Keeps the journal short: copies what still lives in its oldest segment to the end, then drops the segment.

The oldest goes first, so that what is dropped with it (deletes, leases, receives) speaks of messages that were in it
or are gone as well.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from typing import Any, Final, Protocol

from celery_inference.sqs_local.http import json_codec
from celery_inference.sqs_local.http.errors import ApiError
from celery_inference.sqs_local.journal.journal import ROOM_BYTES, Journal
from celery_inference.sqs_local.state.message import GONE, StoredMessage
from celery_inference.sqs_local.state.queue import LocalQueue
from celery_inference.sqs_local.state.store import QueueStore

MIN_SEGMENTS: Final = 4
MAX_BYTES_TO_LIVING: Final = 2.5  # the journal may be this many times as long as what lives in it
MAX_COST: Final = 0.8  # on a full disk: what may be copied, as a part of the room that it gives back and that there is
MESSAGE_BYTES: Final = 500  # of a line around body and attributes, roughly
LINE_BYTES: Final = 110  # of that line: its sum, and its event's kind and queue
DEDUPLICATION_BYTES: Final = 400  # of an event at most: 128 characters each of id and group, and what is around them
STEP_BYTES: Final = 1024 * 1024  # of what is copied before other requests get their turn
FULL_STEP_BYTES: Final = 128 * 1024  # the same on a full disk, where the room for a step may be all there is
STEP_LOOKS: Final = 5_000  # and of messages that are looked at: some ten milliseconds at most
STEP_LOOK_BYTES: Final = 4 * 1024 * 1024  # of those messages, whose lines may have to be measured
PAUSE_SECONDS: Final = 0.005
AGAIN_SECONDS: Final = 1.0  # until a full disk is looked at again
AGAIN_TIMES: Final = 4  # besides, this many times what the last look took

_log = logging.getLogger(__name__)

Living = tuple[LocalQueue, StoredMessage | tuple[str, str]]  # a message, or a deduplication id by its key


class JournaledStore(Protocol):
    """What compaction needs of `celery_inference.sqs_local.dispatcher`, which owns store and journal."""

    store: QueueStore
    journal: Journal | None

    @property
    def now_ms(self) -> Callable[[], int]: ...
    def turn(self) -> None: ...
    def make_room(self, room_bytes: int) -> None: ...
    def commit(self) -> None: ...


class Compaction:
    """Runs in steps on the event loop: a generator that gives the seconds until its next one."""

    def __init__(self, service: JournaledStore) -> None:
        self._service = service
        self._running = False
        self._began = 0.0
        self._full_from = 0.0  # when a full disk is looked at again

    def plan(self, *, disk_full: bool = False) -> None:
        """Called when the journal has begun a segment, and when it cannot grow."""
        loop = asyncio.get_running_loop()
        journal = self._service.journal
        if self._running or journal is None or (disk_full and loop.time() < self._full_from):
            return
        self._running = True
        self._began = loop.time()
        loop.call_soon(self._step, self._work(journal, disk_full))

    def _step(self, work: Iterator[float]) -> None:
        pause_seconds = None
        try:
            pause_seconds = next(work, None)
        except OSError as error:
            # The next segment, or a full disk, has it tried again. Of a disk that fails the next answers tell.
            _log.warning("the journal could not be cleaned: %s", error)
        finally:
            self._running = pause_seconds is not None
            now = asyncio.get_running_loop().time()
            self._full_from = now + AGAIN_SECONDS + AGAIN_TIMES * (now - self._began)
        if pause_seconds is not None:
            asyncio.get_running_loop().call_later(pause_seconds, self._step, work)

    def _work(self, journal: Journal, disk_full: bool) -> Generator[float, None, None]:
        while number := (yield from (self._paying(journal) if disk_full else self._worthwhile(journal))):
            before_bytes = journal.length_bytes
            if number == journal.number:
                self._service.turn()
            if not (yield from self._copied(number, FULL_STEP_BYTES if disk_full else STEP_BYTES)):
                return
            # Everything that lives is in later segments: makes sure that it is there.
            journal.sync()
            while journal.segments[0].number <= number:
                journal.drop_oldest()
            if disk_full:
                journal.make_spare()
                if journal.length_bytes >= before_bytes:
                    return  # others have written meanwhile what it gave back
            self._began = asyncio.get_running_loop().time()  # of the next look
            yield PAUSE_SECONDS

    def _worthwhile(self, journal: Journal) -> Generator[float, None, int]:
        """The number of the segment up to which to copy what lives; 0 for none."""
        if len(journal.segments) <= MIN_SEGMENTS:
            return 0
        living_bytes = sum((yield from self._living_bytes(_size_bytes)).values())
        if journal.length_bytes <= MAX_BYTES_TO_LIVING * (journal.header_bytes + living_bytes):
            return 0
        return journal.segments[0].number

    def _paying(self, journal: Journal) -> Generator[float, None, int]:
        """The same for a full disk: the fewest segments that give back more than what lives in them takes elsewhere."""
        living_bytes = yield from self._living_bytes(_measured_bytes)
        cost_bytes, length_bytes = journal.header_bytes, 0
        for segment in journal.segments:
            cost_bytes += living_bytes[segment.number]
            length_bytes += segment.end
            room_bytes = journal.room_bytes if segment is not journal.segments[-1] else journal.spare_bytes
            if cost_bytes < MAX_COST * min(length_bytes, room_bytes):
                return segment.number
        return 0

    def _living_bytes(self, size_of: Callable[[StoredMessage], int]) -> Generator[float, None, Counter[int]]:
        """How much lives in each segment, by its number."""
        size_bytes: Counter[int] = Counter()
        now_ms = self._service.now_ms()
        for queue in list(self._service.store.queues.values()):
            for some in _in_parts(queue):
                for message in some:
                    size_bytes[message.segment] += size_of(message)
                yield 0.0
            for segment, count in queue.dedup.count_by_segment(now_ms).items():
                size_bytes[segment] += DEDUPLICATION_BYTES * count
        return size_bytes

    def _copied(self, number: int, step_bytes: int) -> Generator[float, None, bool]:
        """Copies what lives in segments up to this one; False where the disk has no room for it."""
        while True:
            dead_lettered = self._service.store.dead_lettered
            found = yield from self._living_to(number)
            if not found and dead_lettered != self._service.store.dead_lettered:
                # A message may have gone, between two looks, from a queue yet to be looked at to one that had been.
                found = _at_once(self._living_to(number))
            if not found:
                return True
            while found:
                part = [found.pop()]
                part_bytes = _copy_bytes(part[0])
                while found and part_bytes < step_bytes:
                    part.append(found.pop())
                    part_bytes += _copy_bytes(part[-1])
                try:
                    self._service.make_room(2 * part_bytes + ROOM_BYTES)  # escapes may double it
                except ApiError:
                    return False
                for queue, what in part:
                    self._copy(queue, what, number)
                self._service.commit()
                yield PAUSE_SECONDS

    def _copy(self, queue: LocalQueue, what: StoredMessage | tuple[str, str], number: int) -> None:
        store = self._service.store
        if store.queues.get(queue.name) is not queue:
            return
        if not isinstance(what, StoredMessage):
            store.record_deduplication(queue, what, number)
        elif what.state != GONE:
            store.record_message(queue, what)

    def _living_to(self, number: int) -> Generator[float, None, list[Living]]:
        """What lives in segments up to this one."""
        found: list[Living] = []
        now_ms = self._service.now_ms()
        for queue in list(self._service.store.queues.values()):
            for some in _in_parts(queue):
                found += [(queue, message) for message in some if message.segment <= number]
                yield 0.0
            found += [(queue, key) for key in queue.dedup.keys_to(number, now_ms)]
        return found


def _in_parts(queue: LocalQueue) -> Iterator[list[StoredMessage]]:
    part: list[StoredMessage] = []
    part_bytes = 0
    for message in list(queue.messages.values()):
        part.append(message)
        part_bytes += message.content_bytes()
        if len(part) >= STEP_LOOKS or part_bytes >= STEP_LOOK_BYTES:
            yield part
            part, part_bytes = [], 0
    if part:
        yield part


def _copy_bytes(living: Living) -> int:
    what = living[1]
    return _size_bytes(what) if isinstance(what, StoredMessage) else DEDUPLICATION_BYTES


def _size_bytes(message: StoredMessage) -> int:
    return message.content_bytes() + MESSAGE_BYTES


def _measured_bytes(message: StoredMessage) -> int:
    """With the escapes that JSON needs, which may double it."""
    return len(json_codec.encode(message.row())) + LINE_BYTES


def _at_once(work: Generator[float, None, list[Living]]) -> list[Living]:
    while True:
        try:
            next(work)
        except StopIteration as end:
            found: list[Any] = end.value
            return found
