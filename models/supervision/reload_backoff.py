"""The models that a restarted device process could not load, and when each is tried again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 300.0


@dataclass(slots=True)
class _Absence:
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
        pause = _FIRST_PAUSE_SECONDS if known is None else min(_LONGEST_PAUSE_SECONDS, 2 * known.pause_seconds)
        self._absences[model] = _Absence(because, self._clock() + pause, pause)
        return pause

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

    def wait_seconds(self) -> float | None:
        """Until the next is due; None when none is absent."""
        if not self._absences:
            return None
        return max(0.0, min(absence.again_at for absence in self._absences.values()) - self._clock())
