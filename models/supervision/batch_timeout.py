"""How long a batch may take, by what batches of its model took: a hang is noticed before the limit of the spec."""

from __future__ import annotations

from dataclasses import dataclass

BATCHES = 20  # answered, before anything is expected
TIMES = 20.0  # what is expected: rows differ, and so do neighbours on the machine
LEAST_SECONDS = 30.0


@dataclass(slots=True)
class BatchTimeout:
    """Of one model in one device process. Lengths are the parent's estimates, in tokens."""

    batches: int = 0
    tokens: int = 0
    seconds: float = 0.0

    def record_batch(self, tokens: int, seconds: float) -> None:
        """A batch of so many tokens was answered after so long."""
        self.batches += 1
        self.tokens += tokens
        self.seconds += seconds

    def limit_seconds(self, tokens: int, most: float, *, alone: bool = False) -> float:
        """For a batch of so many tokens; `most`, the spec's own limit, until enough is known, and never more.

        Nor less for a row that runs `alone`: what is expected parts a batch soon, but blames no input that is slow.
        """
        if alone or self.batches < BATCHES or not self.tokens:
            return most
        expected = tokens * self.seconds / self.tokens
        return min(most, max(LEAST_SECONDS, TIMES * expected))
