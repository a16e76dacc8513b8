"""The batches at one device, in the order in which they were sent, and how long the first of them has run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from models.held import Batch


class AtDevice:
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
