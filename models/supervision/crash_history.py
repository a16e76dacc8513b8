"""Which models end their device processes again and again, and which have behaved since. Pure policy, but for its
clock."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection

DEATHS = 2  # one may be an accident of the input; the second interrupts the neighbours again
WINDOW_SECONDS = 600.0  # in which they count together: a model that dies once an hour costs less than a process
QUIET_SECONDS = 3_600.0  # without a death, after which a model has behaved: six windows


class CrashHistory:
    """Of the models of one engine, over all its devices. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._deaths: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=DEATHS))

    def record_death(self, models: Collection[str]) -> str | None:
        """A process died while it ran or loaded these models; the guilty one, if it is known. Of several it is not:
        their inputs run alone afterwards, and the next death tells."""
        if len(models) != 1:
            return None
        (model,) = models
        with self._lock:
            self._deaths[model].append(self._clock())
        return model

    def crashes(self, model: str) -> bool:
        """Whether it has ended so many processes lately that it should have one of its own."""
        with self._lock:
            deaths = self._deaths.get(model)
            return deaths is not None and len(deaths) == DEATHS and deaths[0] > self._clock() - WINDOW_SECONDS

    def behaves(self, model: str) -> bool:
        """Whether it may share a process again."""
        with self._lock:
            deaths = self._deaths.get(model)
            return not deaths or self._clock() - deaths[-1] >= QUIET_SECONDS
