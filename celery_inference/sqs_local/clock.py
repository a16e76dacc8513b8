"""The time by which a server works."""

from __future__ import annotations

import time
from typing import Final


class Clock:
    """Milliseconds since the epoch, by the machine's clock at the start: who sets that later ends no lease.

    Goes on while the machine sleeps, where the system has such a clock.
    """

    def __init__(self) -> None:
        self._source: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        self._offset = time.time() - time.clock_gettime(self._source)

    def now_ms(self) -> int:
        return int((time.clock_gettime(self._source) + self._offset) * 1000)
