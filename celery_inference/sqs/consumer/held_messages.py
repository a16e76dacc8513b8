"""The messages that one channel holds, from their receive to their settlement, in the order of their FIFO groups.

One message of a group runs at a time: a receive may bring several, and a pool would run them side by side.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from celery_inference.sqs.consumer.message import Message
from celery_inference.sqs.messages.delivery import Delivery

Key = tuple[str, str]  # queue, message group


@dataclass(eq=False, slots=True)
class Arrival:
    """A receive: the first messages of a FIFO queue may have run while payloads of the others are fetched."""

    tags: frozenset[str]
    given_back: set[Key] = field(default_factory=set)


class FifoGroups:
    """The messages of FIFO queues that are held, by group, in the order of their receive. Not thread-safe."""

    def __init__(self) -> None:
        self._groups: dict[Key, deque[Message]] = {}
        self._arriving: list[Arrival] = []

    @staticmethod
    def _key(delivery: Delivery) -> Key | None:
        if not delivery.queue.endswith(".fifo"):
            return None
        return delivery.queue, delivery.system_attributes.get("MessageGroupId", "")

    def arrive(self, received: Sequence[Delivery]) -> Arrival | None:
        """A receive; None if nothing of it is of a FIFO queue."""
        if not any(delivery.queue.endswith(".fifo") for delivery in received):
            return None
        arrival = Arrival(frozenset(delivery.tag for delivery in received))
        self._arriving.append(arrival)
        return arrival

    def arrived(self, arrival: Arrival) -> None:
        """All of it is held, or settled."""
        self._arriving.remove(arrival)

    def give_back(self, delivery: Delivery) -> None:
        """A message goes back to its queue: what stood behind it there may not start."""
        for arrival in self._arriving:
            if delivery.tag in arrival.tags and (key := self._key(delivery)) is not None:
                arrival.given_back.add(key)

    def overtakes(self, delivery: Delivery) -> bool:
        """Whether a message before this one, of its group and its receive, was given back."""
        return any(delivery.tag in one.tags and self._key(delivery) in one.given_back for one in self._arriving)

    def may_start(self, message: Message) -> bool:
        """Take a message; whether it is the first of its group, or of no group. The others wait."""
        key = self._key(message.delivery)
        if key is None:
            return True
        group = self._groups.setdefault(key, deque())
        group.append(message)
        return len(group) == 1

    def done(self, message: Message) -> Message | None:
        """Forget a message that is settled; the one that may start now, if there is one."""
        key = self._key(message.delivery)
        group = self._groups.get(key) if key is not None else None
        if key is None or group is None or message not in group:
            return None
        was_first = group[0] is message
        group.remove(message)
        if not group:
            del self._groups[key]
            return None
        return group[0] if was_first else None

    def behind(self, message: Message) -> list[Message]:
        """The messages that wait for this one."""
        key = self._key(message.delivery)
        group = self._groups.get(key) if key is not None else None
        if group is None or message not in group:
            return []
        return list(group)[group.index(message) + 1 :]


class HeldMessages:
    """Those of one channel. Thread-safe; `ready` is called, under the lock, with each message that may start.

    Once `stopping` is true, none is taken up or begun any more.
    """

    def __init__(self, ready: Callable[[Message], None], stopping: Callable[[], bool]) -> None:
        self._ready = ready
        self._stopping = stopping
        self._changed = threading.Condition()
        self._messages: dict[str, Message] = {}
        self._arriving = 0  # receives that are not all held, or settled, yet
        self._leaving = 0  # taken from those held, and not with the settler yet
        self._order = FifoGroups()

    def __len__(self) -> int:
        return len(self._messages)

    def arrive(self, received: Sequence[Delivery]) -> Arrival | None:
        """A receive; None if nothing of it is of a FIFO queue. `arrived` must follow."""
        with self._changed:
            self._arriving += 1
            return self._order.arrive(received)

    def arrived(self, arrival: Arrival | None) -> None:
        """All of a receive is held, or settled."""
        with self._changed:
            self._arriving -= 1
            self._changed.notify_all()
            if arrival is not None:
                self._order.arrived(arrival)

    def take_up(self, message: Message) -> bool:
        """Hold a message, which is ready when it is the first of its group; False: it is to go back."""
        with self._changed:
            if self._stopping() or self._order.overtakes(message.delivery):
                return False
            self._messages[message.delivery.tag] = message
            if self._order.may_start(message):
                self._ready(message)
            return True

    def hold(self, message: Message) -> None:
        """Hold a message that is its consumer's already."""
        message.handed_over = True
        with self._changed:
            self._messages[message.delivery.tag] = message

    def begin(self, message: Message, *, handed_over: bool) -> bool:
        """Whether a ready message is still held, and may be handed over."""
        with self._changed:
            if self._messages.get(message.delivery.tag) is not message or self._stopping():
                return False
            message.handed_over = handed_over
            return True

    def pass_over(self, delivery: Delivery) -> None:
        """A delivery that was never held goes back to its queue: what is behind it in its group must not start."""
        with self._changed:
            self._order.give_back(delivery)

    def give_back(self, tag: str) -> list[Message]:
        """A message goes back to its queue: those that wait behind it, which are to follow it there."""
        with self._changed:
            message = self._messages.get(tag)
            if message is None:
                return []
            self._order.give_back(message.delivery)
            followers = self._order.behind(message)
            for follower in followers:
                self._order.done(follower)
            return followers

    def tags(self, which: Callable[[Message], bool]) -> list[str]:
        """The delivery tags of these messages."""
        with self._changed:
            return [tag for tag, message in self._messages.items() if which(message)]

    @contextmanager
    def leave(self, tag: str) -> Iterator[Message | None]:
        """The message to settle, None if it was settled before; `wait_until_left` waits until that is done."""
        with self._changed:
            message = self._messages.pop(tag, None)
            if message is not None:
                self._leaving += 1
                if (following := self._order.done(message)) is not None:
                    self._ready(following)
        try:
            yield message
        finally:
            if message is not None:
                with self._changed:
                    self._leaving -= 1
                    self._changed.notify_all()

    def wait_until_left(self, timeout_seconds: float) -> bool:
        """Wait until all that was to be settled is with the settler."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._leaving, timeout_seconds)

    def wait_until_arrived(self, timeout_seconds: float) -> bool:
        """Wait until nothing is being received any more."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._arriving, timeout_seconds)

    def wait_until_empty(self, timeout_seconds: float) -> bool:
        """Wait until nothing is held any more, and all is with the settler."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._messages and not self._leaving, timeout_seconds)
