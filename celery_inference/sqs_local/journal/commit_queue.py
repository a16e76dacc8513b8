"""Answers that wait for the journal: each leaves when what it rests on is written and, where it must be, on disk.

A sync blocks the event loop. That is meant: requests that arrive meanwhile make up the next group. Handing it to a
thread was tried, and to a child process: on two cores both cost more processor time than they saved in waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from celery_inference.sqs_local.http.server import Connection
from celery_inference.sqs_local.journal.journal import Journal
from celery_inference.sqs_local.state.store import Event

MAX_TURNS: Final = 6  # of the event loop that a sync waits for while each brings requests: 0.2 ms each, or less
_LATE_SYNC_SECONDS: Final = 0.1
# Events that a kill must not undo, but a power failure may for a moment: messages are then delivered once more.
_REPEATABLE: Final = frozenset(("recv", "lease", "undo", "del", "expired"))


class Delivered(NamedTuple):
    """What a receive hands out, to be taken back if its client is gone by then."""

    queue: str
    deliveries: list[tuple[str, int]]


class Reply(NamedTuple):
    """An answer and to whom."""

    connection: Connection
    status: int
    headers: bytes
    body: bytes
    delivered: Delivered | None


class CommitQueue:
    """Lives on the event loop's thread. Messages with a sequence below `on_disk_to` are on disk."""

    def __init__(
        self,
        journal: Journal,
        *,
        send: Callable[[Reply], None],
        failed: Callable[[OSError, list[Reply]], None],
        next_sequence: Callable[[], int],
    ) -> None:
        """`failed` gets the replies that must not be sent: the store then knows more than the disk."""
        self._journal = journal
        self._send = send
        self._failed = failed
        self._next_sequence = next_sequence
        self._planned = self._must_sync = self._grown = self._stopped = False
        self._late_sync_timer: asyncio.TimerHandle | None = None
        self._turns = 0
        self._for_disk: list[Reply] = []
        self.on_disk_to = next_sequence()

    def append(self, events: Sequence[Event]) -> bool:
        """Takes events into the journal as one line: all of it outlives a crash or nothing. Whether to sync it.

        It is written with the next reply, or within 0.1 s.
        """
        self._journal.append(events)
        self._grown = True
        if not _REPEATABLE.issuperset([event[0] for event in events]):
            self.plan(must_sync=True)
            return True
        if self._late_sync_timer is None and not self._stopped:
            self._late_sync_timer = asyncio.get_running_loop().call_later(_LATE_SYNC_SECONDS, self._late_sync)
        return False

    def plan(self, *, must_sync: bool) -> None:
        """What was appended is written at the end of this turn of the loop, or written and synced some turns later."""
        self._must_sync = self._must_sync or must_sync
        if not self._planned:
            self._planned = True
            self._turns = 0
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        """Ends the group; before a sync, only when the loop has no more requests for it, or has had many turns."""
        if self._must_sync and self._grown and self._turns < MAX_TURNS:
            self._grown = False
            self._turns += 1
            asyncio.get_running_loop().call_soon(self._turn)
        else:
            self._end_group()

    def reply(self, reply: Reply, *, durable: bool) -> None:
        """Sends it when all that was appended is written, which is now; a `durable` one, when that is on disk."""
        if durable and self._must_sync:
            self._for_disk.append(reply)
            return
        try:
            self._journal.write()
        except OSError as error:
            self._failed(error, [reply])
            return
        self._send(reply)

    def _end_group(self) -> None:
        self._planned = False
        must_sync, self._must_sync = self._must_sync, False
        for_disk, self._for_disk = self._for_disk, []
        on_disk_to = self._next_sequence()
        try:
            if must_sync:
                self._journal.sync()
                self.on_disk_to = on_disk_to
            else:
                self._journal.write()
        except OSError as error:
            self._failed(error, for_disk)
            return
        for reply in for_disk:
            self._send(reply)

    def _late_sync(self) -> None:
        self._late_sync_timer = None
        self.plan(must_sync=True)

    def stop(self) -> None:
        """What is not synced when the last reply has left is left to the journal's `close`."""
        self._stopped = True
        if self._late_sync_timer is not None:
            self._late_sync_timer.cancel()
