"""Receive attempts of a FIFO queue: who repeats one, as its answer was lost, gets the same messages again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from celery_inference.sqs_local.state.message import IN_FLIGHT, StoredMessage

WINDOW_MS: Final = 300_000  # API_ReceiveMessage, ReceiveRequestAttemptId: five minutes


class _Delivery(NamedTuple):
    message_id: str
    receive_count: int
    due_ms: int


class ReceiveAttempts:
    """Attempts in the order they were made. A restart forgets them."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[int, list[_Delivery]]] = {}

    def add(self, attempt: str, messages: Sequence[StoredMessage], now_ms: int) -> None:
        while self._made and next(iter(self._made.values()))[0] <= now_ms - WINDOW_MS:
            del self._made[next(iter(self._made))]
        self._made.pop(attempt, None)
        self._made[attempt] = (now_ms, [_Delivery(m.id, m.receive_count, m.due_ms) for m in messages])

    def repeat(self, attempt: str, messages: Mapping[str, StoredMessage], now_ms: int) -> list[StoredMessage]:
        """The messages of the attempt; none if it is over, or any of them was deleted, changed or received since."""
        made_ms, deliveries = self._made.pop(attempt, (0, []))
        if made_ms <= now_ms - WINDOW_MS:
            return []
        found = [messages.get(delivery.message_id) for delivery in deliveries]
        held = [message for message in found if message is not None and message.state == IN_FLIGHT]
        same = [_Delivery(message.id, message.receive_count, message.due_ms) for message in held] == deliveries
        return held if same else []
