"""One message of a FIFO group at a time: a receive may bring several, and a pool would run them side by side."""

from collections import deque

from sqs.message import Message

Key = tuple[str, str]  # queue, message group


class GroupOrder:
    """The messages of FIFO queues that are held, by group, in the order of their receive. Not thread-safe."""

    def __init__(self) -> None:
        self._groups: dict[Key, deque[Message]] = {}

    @staticmethod
    def _key(message: Message) -> Key | None:
        if not message.delivery.queue.endswith(".fifo"):
            return None
        return message.delivery.queue, message.delivery.system_attributes.get("MessageGroupId", "")

    def may_start(self, message: Message) -> bool:
        """Take a message; whether it is the first of its group, or of no group. The others wait."""
        key = self._key(message)
        if key is None:
            return True
        group = self._groups.setdefault(key, deque())
        group.append(message)
        return len(group) == 1

    def done(self, message: Message) -> Message | None:
        """Forget a message that is settled; the one that may start now, if there is one."""
        key = self._key(message)
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
        key = self._key(message)
        group = self._groups.get(key) if key is not None else None
        if group is None or message not in group:
            return []
        return list(group)[group.index(message) + 1 :]
