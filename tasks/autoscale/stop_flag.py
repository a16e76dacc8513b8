"""A flag that a signal handler may set."""

import contextlib
import queue


class StopFlag:
    """As `threading.Event` for one waiting thread, without a lock in `set`.

    A handler interrupts whatever its thread was doing. An event's lock may be held just then, by `wait` itself, and
    `set` would wait for it without end; `queue.SimpleQueue.put` is made to be called there.
    """

    def __init__(self) -> None:
        self._set = False
        self._words: queue.SimpleQueue[None] = queue.SimpleQueue()

    def set(self) -> None:
        """From now on it is set. Any thread, and signal handlers."""
        self._set = True
        self._words.put(None)

    def is_set(self) -> bool:
        """Whether it is."""
        return self._set

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """Wait until it is set, at most so long; whether it is."""
        if not self._set:
            with contextlib.suppress(queue.Empty):
                self._words.get(timeout=timeout_seconds)
        return self._set
