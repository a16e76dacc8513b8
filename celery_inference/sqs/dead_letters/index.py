"""The index of dead letters: what lists, pages and counts are made of, because SQS shows nobody what is in a queue.

It mirrors the dead-letter queues, which alone hold the letters, and keeps each entry as long as its letter. It is also
the journal of what sends letters back: an entry is marked before its copy leaves and after it has left, so that
whoever comes after a kill knows what is left to do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from celery_inference.sqs.dead_letters.entry import HELD, Entry, State
from celery_inference.sqs.messages.reason import Cause


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters: all, or those that fit everything that is said here.

    `ids` are letter ids, task ids or message ids; `until` leaves out what failed later, in seconds since the epoch.
    """

    lane: str | None = None
    ids: frozenset[str] = frozenset()
    cause: str | None = None
    error_type: str | None = None
    model: str | None = None
    task: str | None = None
    until: float | None = None
    state: frozenset[State] = frozenset(HELD)

    def matches(self, entry: Entry) -> bool:
        """Whether the letter is one of them."""
        return (
            entry.state in self.state
            and self.lane in (None, entry.lane)
            and (self.until is None or entry.failed_at <= self.until)
            and (not self.ids or bool(self.ids & {entry.id, entry.task_id, entry.message_id}))
            and all(
                wanted is None or wanted == getattr(entry, name)
                for name, wanted in (
                    ("cause", self.cause),
                    ("error_type", self.error_type),
                    ("model", self.model),
                    ("task", self.task),
                )
            )
        )


@dataclass(frozen=True, slots=True)
class Group:
    """Letters of one lane with the same cause, error type and model; `error` is one of theirs."""

    lane: str
    cause: Cause
    error_type: str
    model: str | None
    count: int
    oldest_at: float
    newest_at: float
    expires_at: float  # of the first that SQS will drop
    error: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some entries, newest first; `after` asks for the next page, None when there is none."""

    entries: Sequence[Entry]
    after: str | None


@dataclass(frozen=True, slots=True)
class LanePause:
    """A lane whose consumption was stopped because too much of it failed."""

    lane: str
    since: float  # seconds since the epoch
    by: str  # the worker that found it so
    why: str


@dataclass(frozen=True, slots=True)
class Marking:
    """A new state for one letter, and where its copy goes."""

    id: str
    state: State
    to_lane: str | None = None
    to_task: str | None = None


class DeadLetterIndex(Protocol):
    """The index, in the result store. Methods block for a moment, may be called from any thread, and raise OSError
    when the store is away.

    `look_seconds` is how often each worker may ask for stops and failures, by what a call costs.
    """

    look_seconds: float

    def add(self, entries: Sequence[Entry], *, again: bool = False) -> None:
        """Take up letters that were not known; `again` also those that were gone, as an import brings them back."""

    def known(self, lane: str, ids: Sequence[str]) -> Mapping[str, Entry]:
        """Those of the letters that the index knows, gone ones included, by id."""

    def find(self, name: str, lane: str | None = None) -> list[Entry]:
        """The letters with this letter id, task id or message id, gone ones included, newest first."""

    def groups(self, lane: str | None = None) -> list[Group]:
        """The letters in dead-letter queues, grouped, largest group first."""

    def page(self, selection: Selection, *, after: str | None = None, limit: int = 100) -> Page:
        """A page of the letters that fit."""

    def count(self, selection: Selection) -> int:
        """How many letters fit."""

    def mark(self, lane: str, markings: Sequence[Marking]) -> None:
        """Set the states of some letters."""

    def forget(self, lane: str, ids: Sequence[str]) -> None:
        """Remove entries whose letters are not in the queue any more."""

    def open_generations(self, requests: Sequence[tuple[str, int]]) -> None:
        """Begin a generation of each task id: no outcome yet, attempts from 0, the old outcome kept for reading.

        Nothing happens to those that have reached it already.
        """

    def hold(self, name: str, holder: str, seconds: float) -> bool:
        """Take or renew the lease of this name for one holder; False when it is another's."""

    def let_go(self, name: str, holder: str) -> None:
        """Give a lease back."""

    def pauses(self) -> list[LanePause]:
        """The lanes whose consumption is paused."""

    def pause(self, pause: LanePause) -> None:
        """Pause a lane's consumption everywhere."""

    def resume(self, lane: str) -> bool:
        """Take it up again; False if it was not paused."""

    def failures_since(self, lane: str, since: float) -> int:
        """Letters that came since then of causes that pause a lane."""


@dataclass(slots=True)
class Progress:
    """How far a long operation is; handed to a callback after each step."""

    total: int
    done: int = 0
    skipped: dict[str, int] = field(default_factory=dict)  # reason: how many
