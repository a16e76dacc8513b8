"""One message of a FIFO group at a time: a receive may bring several, and a pool would run them side by side."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from celery_inference.sqs.consumer.message import Message
from celery_inference.sqs.messages.delivery import Delivery

Key = tuple[str, str]  # queue, message group


@dataclass(eq=False, slots=True)
class Arrival:
    """A receive from a FIFO queue: its first messages may have run while payloads of the others are fetched."""

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
        if all(self._key(delivery) is None for delivery in received):
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
