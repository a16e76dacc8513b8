"""Which ready message is next: fair between the groups of a standard queue, strict within the groups of a FIFO queue.

Both keep heaps by sequence, so that a message whose lease ended comes back to where it was. A message that is gone is
left in its heap and skipped; when more than half of the entries are such, the heaps are built anew.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Protocol

from celery_inference.sqs_local.state.message import READY, StoredMessage

Entry = tuple[int, StoredMessage]
MIN_DEAD_ENTRIES = 64


class Order(Protocol):
    """The ready messages of one queue."""

    def push(self, message: StoredMessage) -> None:
        """A message became ready."""

    def pop(self) -> StoredMessage | None:
        """The next ready message, taken out; of a FIFO group that is open, or that this very call is emptying."""

    def hold(self, message: StoredMessage) -> None:
        """`message`, just popped, is in flight."""

    def release(self, message: StoredMessage) -> None:
        """`message` is in flight no more; called before `push` where it becomes ready again."""

    def end_call(self) -> None:
        """One receive call has taken all that it will."""

    def forget(self) -> None:
        """A ready message is gone."""


def _rebuilt(entries: list[Entry]) -> list[Entry]:
    alive = [entry for entry in entries if entry[1].state == READY]
    heapify(alive)
    return alive


class FairOrder:
    """Groups take turns, the oldest message of a group first. Messages without a group are a group of their own."""

    def __init__(self) -> None:
        self._groups: dict[str | None, list[Entry]] = {}
        self._turns: deque[str | None] = deque()
        self._dead = 0
        self._entries = 0

    def push(self, message: StoredMessage) -> None:
        entries = self._groups.get(message.group)
        if entries is None:
            entries = self._groups[message.group] = []
            self._turns.append(message.group)
        heappush(entries, (message.sequence, message))
        self._entries += 1

    def pop(self) -> StoredMessage | None:
        turns = self._turns
        while turns:
            group = turns[0]
            entries = self._groups[group]
            while entries:
                message = heappop(entries)[1]
                self._entries -= 1
                if message.state == READY:
                    turns.rotate(-1)
                    return message
                self._dead -= 1
            turns.popleft()
            del self._groups[group]
        return None

    def hold(self, message: StoredMessage) -> None:
        pass

    def release(self, message: StoredMessage) -> None:
        pass

    def end_call(self) -> None:
        pass

    def forget(self) -> None:
        self._dead += 1
        if self._dead > MIN_DEAD_ENTRIES and self._dead * 2 > self._entries:
            self._groups = {group: _rebuilt(entries) for group, entries in self._groups.items()}
            self._entries = sum(map(len, self._groups.values()))
            self._dead = 0


class _FifoGroup:
    """`held`: the sequences of those in flight, sorted; as many as one receive takes, as they shut what is behind."""

    __slots__ = ("entries", "held")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.held: list[int] = []

    def is_open(self) -> bool:
        """Whether the head may be delivered; there must be one."""
        return not self.held or self.entries[0][0] < self.held[0]


class FifoOrder:
    """A message in flight shuts what is behind it in its group. Of the open groups, that with the oldest head is next.

    One receive call may take several messages of one group, in order: they become in flight together. One of them that
    comes back before the others is open again, as nothing before it is in flight.
    """

    def __init__(self) -> None:
        self._groups: dict[str | None, _FifoGroup] = {}
        # Heads by sequence; an entry counts only while it is the head of an open group.
        self._heads: list[tuple[int, str | None]] = []
        self._taking: str | None = None
        self._dead = 0
        self._entries = 0

    def push(self, message: StoredMessage) -> None:
        group = self._groups.get(message.group)
        if group is None:
            group = self._groups[message.group] = _FifoGroup()
        heappush(group.entries, (message.sequence, message))
        self._entries += 1
        if group.entries[0][1] is message and group.is_open():
            self._add_head(message.sequence, message.group)

    def pop(self) -> StoredMessage | None:
        if self._taking is not None:
            message = self._next_of(self._taking)
            if message is not None:
                return message
            self._taking = None
        while self._heads:
            sequence, name = heappop(self._heads)
            group = self._groups.get(name)
            if group is None or not group.entries or group.entries[0][0] != sequence or not group.is_open():
                continue
            if group.entries[0][1].state == READY:
                self._taking = name
                return self._next_of(name)
            self._skip_dead(name, group)
        return None

    def _skip_dead(self, name: str | None, group: _FifoGroup) -> None:
        """The head of an open group is gone: it takes its place again by its next message, if that is open too."""
        while group.entries and group.entries[0][1].state != READY:
            heappop(group.entries)
            self._entries -= 1
            self._dead -= 1
        self._settle(name, group)

    def _settle(self, name: str | None, group: _FifoGroup) -> None:
        """The group's head has changed: it is among the heads again if it is open. An empty group goes."""
        if not group.entries:
            if not group.held:
                del self._groups[name]
        elif group.is_open():
            self._add_head(group.entries[0][0], name)

    def _add_head(self, sequence: int, name: str | None) -> None:
        """One that is a head again and again, as its leases end, stands there as often."""
        if len(self._heads) > MIN_DEAD_ENTRIES + 2 * len(self._groups):
            self._find_heads()
        heappush(self._heads, (sequence, name))

    def _find_heads(self) -> None:
        self._heads = list(self._open_heads())
        heapify(self._heads)

    def _next_of(self, name: str | None) -> StoredMessage | None:
        group = self._groups.get(name)
        while group is not None and group.entries and group.is_open():
            message = heappop(group.entries)[1]
            self._entries -= 1
            if message.state == READY:
                return message
            self._dead -= 1
        if group is not None and not group.entries and not group.held:
            del self._groups[name]
        return None

    def hold(self, message: StoredMessage) -> None:
        group = self._groups.get(message.group)
        if group is None:
            group = self._groups[message.group] = _FifoGroup()
        insort(group.held, message.sequence)

    def release(self, message: StoredMessage) -> None:
        group = self._groups[message.group]
        was_open = bool(group.entries) and group.is_open()
        group.held.remove(message.sequence)
        if not was_open:
            self._settle(message.group, group)

    def end_call(self) -> None:
        name, self._taking = self._taking, None
        if name is None:
            return
        group = self._groups.get(name)
        if group is not None:
            # What was popped may not have stayed in flight (moved to the DLQ, or received with a lease of 0).
            self._settle(name, group)

    def forget(self) -> None:
        self._dead += 1
        if self._dead > MIN_DEAD_ENTRIES and self._dead * 2 > self._entries:
            self._rebuild()

    def _rebuild(self) -> None:
        self._dead = 0
        for group in self._groups.values():
            group.entries = _rebuilt(group.entries)
        self._groups = {name: group for name, group in self._groups.items() if group.entries or group.held}
        self._entries = sum(len(group.entries) for group in self._groups.values())
        self._find_heads()

    def _open_heads(self) -> Iterator[tuple[int, str | None]]:
        for name, group in self._groups.items():
            if group.entries and group.is_open():
                yield group.entries[0][0], name
