"""What every store decides alike, apart from how it reads and writes: functions of what is there and what comes."""

from dataclasses import dataclass
from typing import NamedTuple

from celery_inference.results.protocol import Start, Submission


@dataclass(frozen=True, slots=True)
class NewState:
    """A state of a task to be stored. No generation means whichever is the present one.

    `now` and `expires_at` in seconds since the epoch; None keeps it.
    """

    key: bytes
    value: bytes
    final: bool
    generation: int | None
    now: float
    expires_at: float | None


class StoredState(NamedTuple):
    """Of which generation the stored state is, and whether it is final."""

    generation: int
    final: bool


def place(present: StoredState | None, state: NewState) -> StoredState | None:
    """Where a new state will stand; None when what is there stays.

    Of one generation the first final state stays, and nothing of an earlier generation replaces a later one.
    """
    if present is None:
        return StoredState(state.generation or 0, state.final)
    generation = present.generation if state.generation is None else state.generation
    if present.generation > generation or (present.generation == generation and present.final):
        return None
    return StoredState(generation, state.final)


def opens(present: StoredState | None, generation: int) -> bool:
    """Whether a generation begins: it has not been reached."""
    return present is None or present.generation < generation


def is_kept(present: StoredState | None, placed: StoredState) -> bool:
    """Whether what is replaced is an outcome, and so is kept for reading beside the new state."""
    return present is not None and present.final and present.generation < placed.generation


class AttemptRecord(NamedTuple):
    """The attempts of one request in one generation: the host of each, and the delivery that began the last."""

    hosts: tuple[str, ...] = ()
    delivery: str = ""

    def begun(self, start: Start) -> "AttemptRecord":
        """With this attempt; the same account when the delivery was told before."""
        if self.hosts and self.delivery == start.delivery:
            return self
        return AttemptRecord((*self.hosts, start.host), start.delivery)

    def taken_back(self, start: Start) -> "AttemptRecord":
        """Without this attempt; the same account when the last one is another delivery's."""
        return AttemptRecord(self.hosts[:-1]) if self.hosts and self.delivery == start.delivery else self


@dataclass(frozen=True, slots=True)
class Lease:
    """Whose a name is, until when."""

    holder: str
    until: float

    def is_free_for(self, holder: str, now: float) -> bool:
        """Whether this holder may take or renew it."""
        return self.holder == holder or self.until < now


@dataclass(frozen=True, slots=True)
class SubmissionClaim:
    """Who sends the work of an id; until when that counts, and until when its having been sent is remembered."""

    submitter: str
    until: float
    sent: bool
    expires_at: float

    def found_by(self, submitter: str, now: float) -> Submission:
        """What another submitter, or the same again, finds."""
        if self.expires_at < now or (not self.sent and self.until < now):
            return Submission.OURS
        if self.sent:
            return Submission.SENT
        return Submission.OURS if self.submitter == submitter else Submission.ANOTHERS
