"""How old the oldest message of a queue is, between two bounds: SQS does not tell, and to look would be to receive.

What is known for nothing: when the queue was last read as empty (no message can be older than that), how old the
messages are that workers say they hold, and, where they say that they took none, since when its
messages only became more with none in flight (those of then are still there).
"""

from dataclasses import dataclass

from monitor.formatting import span
from monitor.queues.sample import Sample


@dataclass(frozen=True, slots=True)
class OldestAge:
    """Seconds. `at_most` is None where nothing bounds it: the queue was not seen empty since Flower's start."""

    at_least: float
    at_most: float | None


class AgeEstimate:
    """One queue, from reading to reading. Times are of the readings' clock."""

    def __init__(self) -> None:
        self._last: Sample | None = None
        self._empty_at: float | None = None
        self._unmoved_since: float | None = None
        self._held_seconds: float | None = None

    def add(self, sample: Sample, held_seconds: float | None = None, *, all_report: bool = True) -> None:
        """The next reading, and the age of the oldest message that workers lately held, None if they took none at all.

        `all_report`: whether they would have told. A message that is done between two readings leaves no trace in them.
        """
        before, self._last = self._last, sample
        # What they held when they last told is done by now if nothing is in flight.
        self._held_seconds = held_seconds if sample.in_flight else None
        if sample.messages == 0:
            self._empty_at, self._unmoved_since = sample.at_seconds, None
            return
        moved = before is None or sample.in_flight or before.in_flight or sample.messages < before.messages
        if moved or held_seconds is not None or not all_report or self._unmoved_since is None:
            self._unmoved_since = sample.at_seconds

    def age(self) -> OldestAge | None:
        """As of the last reading; None before the first."""
        if self._last is None:
            return None
        if self._last.messages == 0:
            return OldestAge(0.0, 0.0)
        now = self._last.at_seconds
        at_most = None if self._empty_at is None else now - self._empty_at
        unmoved = 0.0 if self._unmoved_since is None else now - self._unmoved_since
        at_least = max(unmoved, self._held_seconds or 0.0)
        return OldestAge(at_least if at_most is None else min(at_least, at_most), at_most)


NEAR_SECONDS = 20.0  # bounds as near as two readings can be


def span_of_age(age: OldestAge | None) -> str | None:
    """The age of the oldest message: one span where its bounds nearly meet, else what bounds it; None if none is."""
    if age is None or age.at_most == 0:
        return None
    if age.at_most is None:
        return f"over {span(age.at_least)}" if age.at_least >= 1 else None
    if age.at_most - age.at_least <= max(NEAR_SECONDS, 0.1 * age.at_most):
        return f"about {span(age.at_most)}"
    return f"{span(age.at_least)} to {span(age.at_most)}" if age.at_least >= 1 else f"up to {span(age.at_most)}"
