"""SQS in its plainest form: a list of messages, looked through from the start at every call. For comparison."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

_order = count()


@dataclass
class TinyMessage:
    id: str
    body: str
    group: str | None
    sent_ms: int
    ready_ms: int
    receives: int = 0
    leased_until_ms: int = 0
    came_with: int = 0
    order: int = field(default_factory=lambda: next(_order))

    def state(self, now_ms: int) -> str:
        if self.leased_until_ms > now_ms:
            return "in flight"
        return "ready" if self.ready_ms <= now_ms else "delayed"


@dataclass
class TinyQueue:
    """`max_receives` 0: no dead-letter queue."""

    fifo: bool = False
    retention_ms: int = 345_600_000
    max_receives: int = 0
    dead_letters: TinyQueue | None = None
    messages: list[TinyMessage] = field(default_factory=list)
    sent: dict[str, tuple[int, str]] = field(default_factory=dict)

    def forget_old(self, now_ms: int) -> None:
        self.messages = [m for m in self.messages if now_ms - m.sent_ms < self.retention_ms]

    def counts(self, now_ms: int) -> tuple[int, int, int]:
        states = [message.state(now_ms) for message in self.messages]
        return states.count("ready"), states.count("in flight"), states.count("delayed")

    def duplicate_of(self, dedup_id: str, now_ms: int) -> str | None:
        sent_ms, message_id = self.sent.get(dedup_id, (-300_000, ""))
        return message_id if now_ms - sent_ms < 300_000 else None

    def add(self, message: TinyMessage) -> None:
        self.messages.append(message)
        self.messages.sort(key=lambda m: m.order)

    def receive(self, most: int, visibility_ms: int, now_ms: int) -> list[TinyMessage]:
        taken: list[TinyMessage] = []
        for message in self._in_turn(now_ms):
            if len(taken) == most:
                break
            if self.max_receives and message.receives - message.came_with >= self.max_receives:
                assert self.dead_letters is not None
                self.messages.remove(message)
                message.came_with = message.receives
                message.sent_ms = now_ms if self.fifo else message.sent_ms
                self.dead_letters.add(message)
            else:
                taken.append(message)
        for message in taken:
            message.receives += 1
            message.leased_until_ms = now_ms + visibility_ms
        return taken

    def _in_turn(self, now_ms: int) -> list[TinyMessage]:
        ready = [message for message in self.messages if message.state(now_ms) == "ready"]
        if not self.fifo:
            return ready
        # What a group has behind its first message in flight is shut.
        shut_from: dict[str | None, int] = {}
        for message in self.messages:
            if message.state(now_ms) == "in flight":
                shut_from.setdefault(message.group, message.order)
        free = [message for message in ready if message.order < shut_from.get(message.group, message.order + 1)]
        heads: dict[str | None, int] = {}
        for message in free:
            heads.setdefault(message.group, message.order)
        return sorted(free, key=lambda m: (heads[m.group], m.order))
