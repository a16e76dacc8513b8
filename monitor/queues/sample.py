"""One reading of one queue."""

from dataclasses import dataclass


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
