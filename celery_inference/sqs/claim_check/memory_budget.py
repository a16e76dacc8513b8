"""How many bytes of redeemed payloads one process holds at a time."""

import threading
from collections import deque
from collections.abc import Callable

MAX_HELD_BYTES = 256 * 1024 * 1024  # of redeemed payloads that one process's deliveries hold


class MemoryBudget:
    """How many bytes of redeemed payloads a process holds. A larger one than there is room for comes in alone.

    Who came first goes first, so that small ones do not keep a large one out for ever.
    """

    def __init__(self, most_bytes: int = MAX_HELD_BYTES) -> None:
        self._most = most_bytes
        self._held = 0
        self._changed = threading.Condition()
        self._line: deque[object] = deque()

    def take(self, size_bytes: int, given_up: Callable[[], bool], look_seconds: float = 0.2) -> bool:
        """Wait for room; False when it was given up."""
        place = object()
        with self._changed:
            self._line.append(place)
            try:
                while self._line[0] is not place or (self._held and self._held + size_bytes > self._most):
                    if given_up():
                        return False
                    self._changed.wait(look_seconds)
                self._held += size_bytes
                return True
            finally:
                self._line.remove(place)
                self._changed.notify_all()

    def leave(self, size_bytes: int) -> None:
        """The payload is held no more."""
        with self._changed:
            self._held -= size_bytes
            self._changed.notify_all()
