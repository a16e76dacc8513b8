"""How often events are sent and received: few calls from many workers, little delay from few. Policy without threads.

A page may lag by 5 s, a lone worker's by 1 s. A worker sends what has gathered after a window that grows with the
number of workers; the first event after a silence waits a moment only. Who watches receives at once while few
workers send, and else so often that a receive brings many messages.
"""

import math

FIRST_SECONDS = 0.25
SHORTEST_SECONDS = 0.5
LONGEST_SECONDS = 4.0
STEP_SECONDS = 0.35  # for each further worker: from eleven on a fleet sends 2.5 a second, from a hundred on 25

FEW = 3  # workers that are received without a pause
BUSY_PAUSE_SECONDS = 0.4
IDLE_PAUSE_SECONDS = 3.0  # while workers send heartbeats alone; with FIRST_SECONDS the first task is seen in time
BUSY_SECONDS = 10.0  # after the last event of a task
FULL = 10  # messages of one receive: there are more


def window_seconds(workers: int) -> float:
    """How long a worker gathers events."""
    return min(LONGEST_SECONDS, SHORTEST_SECONDS + STEP_SECONDS * max(0, workers - 1))


class BatchingWindow:
    """Events that wait to be sent together. Times are of the caller's clock; not thread-safe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._events: list[str] = []
        self._last_at = -math.inf
        self.due_at: float | None = None
        self.dropped = 0
        self.tasks = False  # whether an event of a task is among them

    def add(self, event: str, now: float, workers: int, *, of_task: bool) -> None:
        """Gather an event; one that finds no room is counted and lost."""
        if len(self._events) >= self._limit:
            self.dropped += 1
            return
        self._events.append(event)
        self.tasks = self.tasks or of_task
        if self.due_at is None:
            self.due_at = max(now + FIRST_SECONDS, self._last_at + window_seconds(workers))

    def take(self, now: float) -> list[str]:
        """What has gathered; a new window begins."""
        events, self._events = self._events, []
        self._last_at, self.due_at, self.tasks = now, None, False
        return events


class ReceiveInterval:
    """When to receive events again. Not thread-safe."""

    def __init__(self) -> None:
        self._task_at = -math.inf

    def task_seen(self, now: float) -> None:
        """Among what was received was an event of a task."""
        self._task_at = now

    def pause_seconds(self, received: int, now: float, workers: int) -> float:
        """How long to wait after a receive that brought so many messages, while so many workers are known."""
        if received == 0 or received >= FULL or workers <= FEW:
            return 0.0
        return BUSY_PAUSE_SECONDS if now - self._task_at < BUSY_SECONDS else IDLE_PAUSE_SECONDS
