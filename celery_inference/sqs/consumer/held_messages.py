"""The messages that one channel holds, from their receive to their settlement, in the order of their FIFO groups.

One message of a group runs at a time: a receive may bring several, and a pool would run them side by side.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence

from celery_inference.sqs.consumer.message import Message
from celery_inference.sqs.messages.delivery import Delivery

Key = tuple[str, str]  # queue, message group


class FifoGroups:
    """The deliveries of FIFO queues that have arrived and not left, by group, in the order of their receive.

    Not thread-safe.
    """

    def __init__(self) -> None:
        self._groups: dict[Key, deque[Delivery]] = {}

    def arrive(self, received: Sequence[Delivery]) -> bool:
        """Take up a receive; whether any of it is of a FIFO queue."""
        fifo = [delivery for delivery in received if delivery.queue.endswith(".fifo")]
        for delivery in fifo:
            self._groups.setdefault(_key(delivery), deque()).append(delivery)
        return bool(fifo)

    def expects(self, delivery: Delivery) -> bool:
        """Whether it is of no group, or none that was before it in its group was given back."""
        return not delivery.queue.endswith(".fifo") or delivery in self._groups.get(_key(delivery), ())

    def is_first(self, delivery: Delivery) -> bool:
        """Whether it is of no group, or the first of its own: the others wait."""
        return not delivery.queue.endswith(".fifo") or self._groups[_key(delivery)][0] is delivery

    def leave(self, delivery: Delivery) -> Delivery | None:
        """Forget a delivery that is settled; the one that is first now, if that is another."""
        if not delivery.queue.endswith(".fifo"):
            return None
        group = self._groups.get(_key(delivery), deque())
        if delivery not in group:
            return None
        was_first = group[0] is delivery
        group.remove(delivery)
        if not group:
            del self._groups[_key(delivery)]
            return None
        return group[0] if was_first else None

    def cut_behind(self, delivery: Delivery) -> list[Delivery]:
        """Forget those behind a delivery that is given back: SQS keeps them behind it, here they would overtake it."""
        group = self._groups.get(_key(delivery), deque())
        behind: list[Delivery] = []
        while delivery in group and group[-1] is not delivery:
            behind.insert(0, group.pop())
        return behind


def _key(delivery: Delivery) -> Key:
    return delivery.queue, delivery.system_attributes.get("MessageGroupId", "")


class HeldMessages:
    """Those of one channel. Thread-safe; `ready` is called, under the lock, with each message that may start.

    Once `stopping` is true, none is taken up or begun any more.
    """

    def __init__(self, ready: Callable[[Message], None], stopping: Callable[[], bool]) -> None:
        self._ready = ready
        self._stopping = stopping
        self._changed = threading.Condition(threading.Lock())
        self._messages: dict[str, Message] = {}
        self._arriving = 0  # receives that are not all held, or settled, yet
        self._leaving = 0  # taken from those held, and not with the settler yet
        self._order = FifoGroups()

    def __len__(self) -> int:
        return len(self._messages)

    def arrive(self, received: Sequence[Delivery]) -> bool:
        """A receive; whether any of it is of a FIFO queue. `arrived` must follow."""
        with self._changed:
            self._arriving += 1
            return self._order.arrive(received)

    def arrived(self, ordered: Sequence[Delivery]) -> None:
        """All of a receive is held, or settled; of `ordered`, one of FIFO queues, nothing waits for what is neither."""
        with self._changed:
            self._arriving -= 1
            self._changed.notify_all()
            for delivery in ordered:
                if delivery.tag not in self._messages:
                    self._start_next(delivery)

    def take_up(self, message: Message) -> bool:
        """Hold a message, which is ready when it is the first of its group; False: it is to go back."""
        with self._changed:
            if self._stopping() or not self._order.expects(message.delivery):
                self._order.leave(message.delivery)
                return False
            self._messages[message.delivery.tag] = message
            if self._order.is_first(message.delivery):
                self._ready(message)
            return True

    def pass_by(self, delivery: Delivery, *, given_back: bool) -> list[Message]:
        """A delivery is settled that no consumer is to see; if it is given back, those that are to follow it."""
        with self._changed:
            behind = self._cut_behind(delivery) if given_back else []
            self._start_next(delivery)
            return behind

    def _start_next(self, delivery: Delivery) -> None:
        following = self._order.leave(delivery)
        if following is not None and following.tag in self._messages:
            self._ready(self._messages[following.tag])

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

    def give_back(self, tag: str) -> list[Message]:
        """A message goes back to its queue: those that wait behind it, which are to follow it there."""
        with self._changed:
            message = self._messages.get(tag)
            return [] if message is None else self._cut_behind(message.delivery)

    def _cut_behind(self, delivery: Delivery) -> list[Message]:
        """Those that are held already; the others will not be taken up."""
        behind = self._order.cut_behind(delivery)
        return [self._messages[one.tag] for one in behind if one.tag in self._messages]

    def tags(self, which: Callable[[Message], bool]) -> list[str]:
        """The delivery tags of these messages."""
        with self._changed:
            return [tag for tag, message in self._messages.items() if which(message)]

    def pop(self, tag: str) -> Message | None:
        """The message to settle, None if it was settled before. `left` must follow when it is with the settler."""
        with self._changed:
            message = self._messages.pop(tag, None)
            if message is not None:
                self._leaving += 1
                self._start_next(message.delivery)
            return message

    def left(self) -> None:
        """A message that was taken out is with the settler."""
        with self._changed:
            self._leaving -= 1
            if not self._leaving:
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
