"""Deduplication ids of a FIFO queue, each remembered for five minutes."""

from __future__ import annotations

from collections import Counter
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
        self.drop_old(now_ms)
        sent = self._sent.get(key)
        return sent if sent is not None and sent.sent_ms > now_ms - WINDOW_MS else None

    def add(self, key: tuple[str, str], sent: Sent) -> None:
        self._sent.pop(key, None)
        self._sent[key] = sent

    def keys_to(self, segment: int, now_ms: int) -> list[tuple[str, str]]:
        """The ids still remembered that the journal has in this segment or before."""
        begin_ms = now_ms - WINDOW_MS
        return [key for key, sent in self._sent.items() if sent.segment <= segment and sent.sent_ms > begin_ms]

    def count_by_segment(self, now_ms: int) -> Counter[int]:
        """How many ids still remembered the journal has in each segment."""
        begin_ms = now_ms - WINDOW_MS
        return Counter(sent.segment for sent in self._sent.values() if sent.sent_ms > begin_ms)

    def moved(self, key: tuple[str, str], segment: int, to_segment: int) -> Sent | None:
        """What is remembered of an id in this segment or before: from now on, by what `to_segment` says."""
        sent = self._sent.get(key)
        if sent is None or sent.segment > segment:
            return None
        self._sent[key] = sent = sent._replace(segment=to_segment)
        return sent

    def set_back(self, now_ms: int) -> None:
        """What was sent in what is now the future, as the clock was set back, was sent now."""
        self._sent = {key: sent._replace(sent_ms=min(sent.sent_ms, now_ms)) for key, sent in self._sent.items()}

    def drop_old(self, now_ms: int) -> None:
        """Forgets ids whose time is over."""
        while self._sent:
            key = next(iter(self._sent))
            if self._sent[key].sent_ms > now_ms - WINDOW_MS:
                return
            del self._sent[key]
