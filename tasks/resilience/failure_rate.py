"""A limit on dead letters: a bad deploy must not empty a lane into its dead-letter queue."""

from collections import deque
from collections.abc import Callable

HOUR_SECONDS = 3_600.0
RECENT_SECONDS = 600.0  # what ended longer ago says nothing of now


class FailureRate:
    """One lane's limit in one worker. Not thread-safe; `clock` gives seconds.

    It is passed when more than `share` of the recent requests became dead letters, of at least `least`, or when more
    than `an_hour` did within an hour. Recent are the last two times `least`, as far as they ended within
    RECENT_SECONDS: many good ones before a bad deploy must not hide it. What was its caller's fault is not told here.
    """

    def __init__(self, *, share: float, least: int, an_hour: int, clock: Callable[[], float]) -> None:
        self._share = share
        self._least = least
        self._an_hour = an_hour
        self._clock = clock
        self._recent: deque[tuple[float, bool]] = deque(maxlen=2 * least)
        self._dead: deque[float] = deque(maxlen=an_hour + 1)
        self._ended = 0

    def record_outcome(self, *, dead: bool) -> None:
        """A request ended: as a dead letter, or otherwise."""
        now = self._clock()
        self._recent.append((now, dead))
        self._ended += 1
        if dead:
            self._dead.append(now)

    def passed(self) -> str | None:
        """Why the lane is to be stopped, in words; None when it is not."""
        now = self._clock()
        while self._recent and self._recent[0][0] < now - RECENT_SECONDS:
            self._recent.popleft()
        dead, total = sum(dead for _, dead in self._recent), len(self._recent)
        if total >= self._least and dead > self._share * total:
            return f"{dead} of the last {total} requests became dead letters"
        if len(self._dead) > self._an_hour and self._dead[0] > now - HOUR_SECONDS:
            return self.too_many(len(self._dead))
        return None

    def too_many(self, within_an_hour: int) -> str | None:
        """The same for a count of the whole fleet's."""
        return f"more than {self._an_hour} dead letters within an hour" if within_an_hour > self._an_hour else None

    @property
    def proven(self) -> bool:
        """Whether enough has ended since the start to say that the lane works."""
        return self._ended >= self._least and self.passed() is None

    def reset(self) -> None:
        """Begin anew, as at a start."""
        self._recent.clear()
        self._dead.clear()
        self._ended = 0
