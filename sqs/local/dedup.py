"""Deduplication ids of a FIFO queue, each remembered for five minutes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

WINDOW_MS: Final = 300_000  # SQSDeveloperGuide/using-messagededuplicationid-property: five-minute interval


class Sent(NamedTuple):
    """The message that was accepted under an id; `segment` is the part of the journal that says so."""

    message_id: str
    sequence: int
    sent_ms: int
    segment: int


class Deduplication:
    """Ids in the order of their sends. Keys are (group, id), the group empty where the whole queue shares the ids."""

    def __init__(self) -> None:
        self._sent: dict[tuple[str, str], Sent] = {}

    def find(self, key: tuple[str, str], now_ms: int) -> Sent | None:
        self._drop_old(now_ms)
        sent = self._sent.get(key)
        return sent if sent is not None and sent.sent_ms > now_ms - WINDOW_MS else None

    def add(self, key: tuple[str, str], sent: Sent) -> None:
        self._sent.pop(key, None)
        self._sent[key] = sent

    def in_segments_to(self, segment: int) -> Iterator[tuple[tuple[str, str], Sent]]:
        return ((key, sent) for key, sent in self._sent.items() if sent.segment <= segment)

    def move(self, key: tuple[str, str], segment: int) -> None:
        self._sent[key] = self._sent[key]._replace(segment=segment)

    def _drop_old(self, now_ms: int) -> None:
        while self._sent:
            key = next(iter(self._sent))
            if self._sent[key].sent_ms > now_ms - WINDOW_MS:
                return
            del self._sent[key]
