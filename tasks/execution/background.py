"""Threads for what others must not wait for without a bound; first of all outcomes that no pool thread stores.

Celery stores the outcome of an expired, a revoked or an unknown task in the thread that consumes, where a store that
hangs would stop the whole worker. Here such work waits in line for a few threads. How much can wait is bounded by the
worker's slots: each entry still holds its delivery, under lease.
"""

import threading
from collections.abc import Callable
from queue import SimpleQueue

from celery.utils.log import get_logger

logger = get_logger(__name__)

Work = Callable[[], object]


class BackgroundExecutor:
    """A few daemon threads, started when there is work: none of them keeps the process from ending."""

    def __init__(self, name: str, threads: int = 4) -> None:
        self._name = name
        self._most = threads
        self._lock = threading.Lock()
        self._line: SimpleQueue[tuple[Work, Work]] = SimpleQueue()
        self._threads = 0
        self._busy = 0

    def run(self, work: Work, otherwise: Work) -> None:
        """Do the work soon, in another thread; what it raises is logged, and `otherwise` is done. Does not block."""
        with self._lock:
            self._busy += 1
            if self._threads < min(self._most, self._busy):
                self._threads += 1
                threading.Thread(target=self._run, name=f"{self._name}-{self._threads}", daemon=True).start()
        self._line.put((work, otherwise))

    def _run(self) -> None:
        while True:
            self._do(*self._line.get())  # which leaves nothing of it here while the thread waits for more

    def _do(self, work: Work, otherwise: Work) -> None:
        try:
            work()
        except Exception as error:
            logger.error("an outcome cannot be stored, and its request is released: %r", error)
            try:
                otherwise()
            except Exception:
                logger.exception("nor could the request be released; it comes again when its lease ends")
        finally:
            with self._lock:
                self._busy -= 1
