"""Times at which something happens to a message: a heap whose outdated entries are skipped."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from celery_inference.sqs_local.state.message import DELAYED, GONE, IN_FLIGHT, StoredMessage

Entry = tuple[int, int, StoredMessage]
MIN_ENTRIES = 64


class Timers:
    """Ends of delays and leases. An entry counts while its message still waits for just that time."""

    def __init__(self) -> None:
        self._heap: list[Entry] = []

    def add(self, message: StoredMessage, waiting: int) -> None:
        """`waiting`: how many messages are delayed or in flight, to know when most entries are outdated."""
        if len(self._heap) > MIN_ENTRIES + 2 * waiting:
            self._heap = [entry for entry in self._heap if self._counts(entry)]
            heapify(self._heap)
        heappush(self._heap, (message.due_ms, message.sequence, message))

    def next_ms(self) -> int | None:
        heap = self._heap
        while heap:
            if self._counts(heap[0]):
                return heap[0][0]
            heappop(heap)
        return None

    def pop_due(self, now_ms: int) -> StoredMessage | None:
        heap = self._heap
        while heap and heap[0][0] <= now_ms:
            entry = heappop(heap)
            if self._counts(entry):
                return entry[2]
        return None

    @staticmethod
    def _counts(entry: Entry) -> bool:
        message = entry[2]
        return message.due_ms == entry[0] and message.state in (DELAYED, IN_FLIGHT)


class RetentionOrder:
    """Messages by the time they were sent, oldest first, for retention."""

    def __init__(self) -> None:
        self._heap: list[Entry] = []

    def add(self, message: StoredMessage, living: int) -> None:
        if len(self._heap) > MIN_ENTRIES + 2 * living:
            self._heap = [entry for entry in self._heap if entry[2].state != GONE]
            heapify(self._heap)
        heappush(self._heap, (message.sent_ms, message.sequence, message))

    def pop_sent_before(self, time_ms: int) -> StoredMessage | None:
        """The oldest message that lives and was sent before `time_ms`, taken out."""
        heap = self._heap
        while heap and (heap[0][0] < time_ms or heap[0][2].state == GONE):
            message = heappop(heap)[2]
            if message.state != GONE:
                return message
        return None
