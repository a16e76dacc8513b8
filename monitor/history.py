"""The depths of the last hours, kept in Flower's memory and bounded."""

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from sqs.depths import Depth

FINE_SAMPLES = 180  # every reading of the last 15 minutes, at one each 5 s
COARSE_SECONDS = 60.0
COARSE_SAMPLES = 360  # six hours of minutes


@dataclass(frozen=True, slots=True)
class Sample:
    """One queue's depth at a time, in messages."""

    at_seconds: float
    visible: int
    in_flight: int
    delayed: int

    @property
    def messages(self) -> int:
        """All messages of the queue."""
        return self.visible + self.in_flight + self.delayed

    def peak(self, other: "Sample") -> "Sample":
        """The highest of both in each state, at this sample's time."""
        return Sample(
            self.at_seconds,
            max(self.visible, other.visible),
            max(self.in_flight, other.in_flight),
            max(self.delayed, other.delayed),
        )


class _Track:
    """One queue: every reading of the last minutes, and the peak of each minute of the last hours."""

    def __init__(self) -> None:
        self.fine: deque[Sample] = deque(maxlen=FINE_SAMPLES)
        self.coarse: deque[Sample] = deque(maxlen=COARSE_SAMPLES)

    def add(self, sample: Sample) -> None:
        self.fine.append(sample)
        minute_seconds = sample.at_seconds - sample.at_seconds % COARSE_SECONDS
        of_minute = Sample(minute_seconds, sample.visible, sample.in_flight, sample.delayed)
        if self.coarse and self.coarse[-1].at_seconds == minute_seconds:
            # A peak that lasted seconds must not vanish from the hours.
            self.coarse[-1] = self.coarse[-1].peak(of_minute)
        else:
            self.coarse.append(of_minute)


class History:
    """Samples of the declared queues; written by the depth watch's thread, read by any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tracks: dict[str, _Track] = {}

    def add(self, at_seconds: float, depths: Iterable[Depth]) -> None:
        """Keep one reading. A queue that does not exist any more is forgotten."""
        with self._lock:
            for depth in depths:
                if depth.missing:
                    self._tracks.pop(depth.queue, None)
                    continue
                track = self._tracks.setdefault(depth.queue, _Track())
                track.add(Sample(at_seconds, depth.visible, depth.in_flight, depth.delayed))

    def fine(self, queue: str) -> tuple[Sample, ...]:
        """Every reading of the last minutes, oldest first; empty for an unknown queue."""
        with self._lock:
            track = self._tracks.get(queue)
            return tuple(track.fine) if track else ()

    def coarse(self, queue: str) -> tuple[Sample, ...]:
        """The peak of each minute of the last hours, oldest first; empty for an unknown queue."""
        with self._lock:
            track = self._tracks.get(queue)
            return tuple(track.coarse) if track else ()
