"""The batches at one device, in the order in which they were sent, and how long the first of them has run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from models.scheduling.batching import Joinable
from models.scheduling.requests import Batch


class InFlight:
    """Filled by the thread that feeds the device, emptied by the one that reads its answers."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._batches: dict[int, Batch] = {}
        self._begun: set[int] = set()
        self._first_since = 0.0

    def __len__(self) -> int:
        return len(self._batches)

    def add(self, batch: Batch) -> None:
        """It is about to be sent. A process that does not even begin is held to the time limit as well."""
        with self._lock:
            if not self._batches:
                self._first_since = self._clock()
            self._batches[batch.number] = batch

    def begin(self, number: int) -> Batch | None:
        """The process said that it begins this one: should the process die, the batch may be why."""
        self._begun.add(number)
        return self._batches.get(number)

    def remove(self, number: int) -> Batch:
        """It was answered, or could not be sent; the time of the next begins."""
        with self._lock:
            self._first_since = self._clock()
            self._begun.discard(number)
            return self._batches.pop(number)

    def first(self) -> tuple[Batch, float] | None:
        """The batch whose turn it is, and for how many seconds it has been."""
        with self._lock:
            batch = next(iter(self._batches.values()), None)
            return None if batch is None else (batch, self._clock() - self._first_since)

    @property
    def turns(self) -> int:
        """How many of them run one after another: rows that joined each other share a turn."""
        with self._lock:
            return turns_of(list(self._batches.values()))

    def joinable(self) -> Joinable | None:
        """What rows may be added to: the last turn, when it is one of rows that join."""
        with self._lock:
            batches = list(self._batches.values())
        if not batches or not batches[-1].joins:
            return None
        rows = [row for batch in batches if _share_a_turn(batch, batches[-1]) for row in batch.rows]
        lengths = [row.length for row in rows]
        return Joinable(batches[-1].group, len(rows), sum(lengths), max(lengths))

    def alone(self) -> bool:
        """Whether there is one that nothing may run beside."""
        with self._lock:
            return any(batch.alone for batch in self._batches.values())

    def clear(self) -> tuple[list[Batch], list[Batch]]:
        """All of them, the process having ended: those that it had begun, and the others."""
        with self._lock:
            begun = [batch for number, batch in self._batches.items() if number in self._begun]
            others = [batch for number, batch in self._batches.items() if number not in self._begun]
            self._batches, self._begun = {}, set()
        return begun, others


def turns_of(batches: Sequence[Batch]) -> int:
    """How many turns these batches, in their order, are."""
    return sum(not (i and _share_a_turn(batches[i - 1], batch)) for i, batch in enumerate(batches))


def _share_a_turn(one: Batch, other: Batch) -> bool:
    return one.joins and other.joins and one.group == other.group
