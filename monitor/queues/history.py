"""The depths of the last hours, kept in Flower's memory and bounded."""

import threading
from collections import deque
from collections.abc import Iterable, Mapping

from celery_inference.sqs.queues.depths import Depth
from monitor.queues.oldest_age import AgeEstimate, OldestAge
from monitor.queues.sample import Sample

FINE_SAMPLES = 180  # every reading of the last 15 minutes, at one each 5 s
COARSE_SECONDS = 60.0
COARSE_SAMPLES = 360  # six hours of minutes


class _Track:
    """One queue: every reading of the last minutes, and the peak of each minute of the last hours."""

    def __init__(self) -> None:
        self.fine: deque[Sample] = deque(maxlen=FINE_SAMPLES)
        self.coarse: deque[Sample] = deque(maxlen=COARSE_SAMPLES)
        self.standing = AgeEstimate()

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

    def add(self, at_seconds: float, depths: Iterable[Depth], held_ages: Mapping[str, float] | None = None) -> None:
        """Keep one reading. A queue that does not exist any more is forgotten.

        `held_ages` is by queue what `AgeEstimate.add` wants to know; None where workers do not tell.
        """
        with self._lock:
            for depth in depths:
                if depth.missing:
                    self._tracks.pop(depth.queue, None)
                    continue
                track = self._tracks.setdefault(depth.queue, _Track())
                sample = Sample(at_seconds, depth.visible, depth.in_flight, depth.delayed)
                track.add(sample)
                held = held_ages or {}
                all_report = depth.dead_letter_queue or held_ages is not None
                track.standing.add(sample, held.get(depth.queue), all_report=all_report)

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

    def oldest_age(self, queue: str) -> OldestAge | None:
        """Of the queue's oldest message, as of the last reading; None for an unknown queue."""
        with self._lock:
            track = self._tracks.get(queue)
            return track.standing.age() if track else None
