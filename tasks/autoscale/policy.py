"""How many workers a fleet should have, from what waits and what arrives. Pure: the clock is in the readings.

With `c` the requests a second of one worker, `b` the backlog (visible and in flight) and `r` the arrivals a second,
`n` workers are enough when they keep up, n·c ≥ r, and when the last of the backlog waits no longer than it may,
b ÷ (n·c) ≤ wait. Workers that still have to start can use only what is left of that wait when they are there.
"""

import math
from collections import deque
from dataclasses import dataclass

RATE_SECONDS = 10.0  # over which arrivals are averaged
# Of the wait, what is left at least for workers that take longer to start than the wait is long.
LEAST_SHARE_OF_WAIT = 0.1


@dataclass(frozen=True, slots=True)
class Goal:
    """What the fleet is for.

    `requests_per_second` is what one worker does, measured; `start_seconds` is from its order to its first delivery.
    A fleet shrinks to the most that was needed within the last `settle_seconds`.
    """

    requests_per_second: float
    target_wait_seconds: float = 60.0
    start_seconds: float = 180.0
    settle_seconds: float = 30.0
    headroom: float = 1.1
    minimum: int = 0
    maximum: int = 10

    def __post_init__(self) -> None:
        if self.requests_per_second <= 0 or self.target_wait_seconds <= 0 or self.start_seconds < 0:
            raise ValueError("requests_per_second and target_wait_seconds must be above 0, start_seconds not below")
        if not 0 <= self.minimum <= self.maximum or self.maximum < 1:
            raise ValueError(f"no fleet is at least {self.minimum} and at most {self.maximum}")


@dataclass(frozen=True, slots=True)
class FleetReading:
    """What was there at a moment; `at` in monotonic seconds.

    `ordered` counts workers that run or were asked for, `running` those that take deliveries, `busy` those that hold
    requests. `finished` is how many requests were finished since some beginning; None where nobody counts.
    """

    at: float
    visible: int
    in_flight: int
    ordered: int
    running: int
    busy: int
    finished: int | None = None

    @property
    def backlog(self) -> int:
        """What is to be worked on, or is being."""
        return self.visible + self.in_flight


class Policy:
    """Not thread-safe: one loop asks it."""

    def __init__(self, goal: Goal) -> None:
        self.goal = goal
        self._readings: deque[FleetReading] = deque()
        self._active_at = -math.inf
        self._needs: deque[tuple[float, int]] = deque()

    def desired(self, reading: FleetReading) -> int:
        """The number of workers to ask for now. Never fewer than are busy."""
        before = self._readings[-1] if self._readings else None
        if reading.backlog or (before is not None and before.finished != reading.finished):
            self._active_at = reading.at
        elif reading.at - self._active_at >= self.goal.settle_seconds:
            self._readings.clear()  # what arrived before is over, and what it needed
            self._needs.clear()
        self._readings.append(reading)
        while len(self._readings) > 2 and self._readings[1].at <= reading.at - RATE_SECONDS:
            self._readings.popleft()
        self._needs.append((reading.at, self._need(reading)))
        while self._needs[0][0] < reading.at - self.goal.settle_seconds:
            self._needs.popleft()
        most = max(need for _, need in self._needs)
        return min(self.goal.maximum, max(self.goal.minimum, most, reading.busy))

    def _need(self, reading: FleetReading) -> int:
        goal = self.goal
        by_rate = self.arrivals_per_second() * goal.headroom / goal.requests_per_second
        work_seconds = reading.backlog / goal.requests_per_second
        need = max(by_rate, work_seconds / goal.target_wait_seconds)
        if math.ceil(need) > reading.ordered:
            late = max(goal.target_wait_seconds - goal.start_seconds, LEAST_SHARE_OF_WAIT * goal.target_wait_seconds)
            need = max(need, (work_seconds - reading.running * goal.target_wait_seconds) / late)
        return max(math.ceil(need), 1 if reading.backlog else 0)

    def arrivals_per_second(self) -> float:
        """Over the last RATE_SECONDS: what the backlog has grown, and what was finished meanwhile."""
        first, last = self._readings[0], self._readings[-1]
        seconds = last.at - first.at
        if seconds <= 0:
            return 0.0
        if first.finished is not None and last.finished is not None and last.finished >= first.finished:
            finished: float = last.finished - first.finished
        else:
            # Nobody counts: who has messages waiting works at full speed; else the fleet that keeps up is kept.
            finished = self.goal.requests_per_second * last.running * seconds if last.backlog else 0.0
            if last.visible == 0:
                finished /= self.goal.headroom
        return max(0.0, (last.backlog - first.backlog + finished) / seconds)
