"""The models that a restarted device process has not loaded, and when each is tried next."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 300.0
# Loading holds up what the process serves, so that it waits for a moment in which nothing does; but not for ever.
LOAD_AFTER_SECONDS = 10.0


@dataclass(slots=True)
class _Absence:
    """`because` is empty while nothing speaks against loading it: it only comes after the others."""

    because: str
    again_at: float
    pause_seconds: float


class ReloadBackoff:
    """Of one device. Pure policy, but for its clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._absences: dict[str, _Absence] = {}

    def __contains__(self, model: object) -> bool:
        return model in self._absences

    def fail(self, model: str, because: str) -> float:
        """It could not be loaded; in how many seconds it is tried again, twice as many as the last time."""
        known = self._absences.get(model)
        pause = min(_LONGEST_PAUSE_SECONDS, max(_FIRST_PAUSE_SECONDS, 2 * known.pause_seconds if known else 0.0))
        self._absences[model] = _Absence(because, self._clock() + pause, pause)
        return pause

    def defer(self, model: str, *, due: bool = True) -> None:
        """It is loaded after the others, from now on or, when not `due`, from the next call on. One that failed keeps
        its pause."""
        if not self.failed(model):
            self._absences[model] = _Absence("", self._clock() if due else math.inf, 0.0)

    def failed(self, model: str) -> bool:
        """Whether it could not be loaded, so that its requests need not wait for it."""
        return bool(self.because(model))

    def back(self, model: str) -> bool:
        """It is loaded; whether it had been absent."""
        return self._absences.pop(model, None) is not None

    def because(self, model: str) -> str:
        """Why it is absent."""
        return self._absences[model].because if model in self._absences else ""

    def due(self) -> str | None:
        """A model that is worth another try now."""
        now = self._clock()
        return next((model for model, absence in self._absences.items() if absence.again_at <= now), None)

    def overdue(self, model: str) -> bool:
        """Whether it has waited long enough for a moment in which nothing else does."""
        return self._absences[model].again_at + LOAD_AFTER_SECONDS <= self._clock()

    def wait_seconds(self) -> float | None:
        """Until the next is due; None when none will be."""
        first = min((absence.again_at for absence in self._absences.values()), default=math.inf)
        return None if first == math.inf else max(0.0, first - self._clock())
