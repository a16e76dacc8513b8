"""The index of dead letters: what lists, pages and counts are made of, because SQS shows nobody what is in a queue.

It mirrors the dead-letter queues, which alone hold the letters, and keeps each entry as long as its letter. It is also
the journal of what sends letters back: an entry is marked before its copy leaves and after it has left, so that
whoever comes after a kill knows what is left to do.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, Self

from sqs import envelope
from sqs.dead_letters import Cause, DeadLetter
from sqs.errors import UndecodableError
from sqs.lanes import Lane

MAX_ID_CHARACTERS = 200
ERROR_CHARACTERS = 300
MAX_GENERATION = 1_000_000


class State(StrEnum):
    """Where a letter is on its way."""

    WAITING = "waiting"  # in its dead-letter queue
    SENDING = "sending"  # its copy may have left
    SENT = "sent"  # its copy has left; the letter is to be deleted
    DROPPING = "dropping"  # to be deleted
    REDRIVEN = "redriven"  # gone: a later generation took its place
    DROPPED = "dropped"  # gone


HELD = (State.WAITING, State.SENDING, State.SENT, State.DROPPING)  # those that the queue still may hold
GONE = (State.REDRIVEN, State.DROPPED)


@dataclass(frozen=True, slots=True)
class Entry:
    """What the index knows of one letter; times in seconds since the epoch.

    `id` names the letter in commands and pages: the task's id and a few digits of what the message is, or, for what
    is no task, SQS's id of the message that failed. `buried` says that a worker has given the reason, mostly in an
    attribute of the letter.
    """

    id: str
    lane: str
    message_id: str
    task_id: str | None
    task: str | None
    model: str | None
    generation: int
    cause: Cause
    error_type: str
    error: str
    attempts: int
    worker: str | None
    revision: str | None
    failed_at: float
    expires_at: float
    body_bytes: int
    buried: bool
    state: State = State.WAITING
    to_lane: str | None = None
    to_task: str | None = None

    @property
    def is_held(self) -> bool:
        """Whether its queue still may hold it."""
        return self.state in HELD

    @classmethod
    def of(cls, letter: DeadLetter, lane: Lane) -> Self:
        """The entry of a letter in this lane's dead-letter queue, from the letter alone."""
        request = requested(letter.body)
        reason = letter.reason
        generation = max(reason.generation if reason else letter.mark.generation, request.generation)
        message_id = (reason and reason.message_id) or letter.message_id
        cause = reason.stated_cause if reason else Cause.LOST if request.readable else Cause.UNREADABLE
        return cls(
            id=_id_of(request, letter.body, generation) or message_id,
            lane=lane.name,
            message_id=message_id,
            task_id=request.task_id,
            task=request.task,
            model=(reason and reason.model) or request.model,
            generation=generation,
            cause=cause,
            error_type=reason.error_type if reason else _WITHOUT_REASON[cause][0],
            error=(reason.message if reason else _WITHOUT_REASON[cause][1])[:ERROR_CHARACTERS],
            attempts=reason.attempts if reason else lane.max_receive_count,
            worker=reason.worker if reason else None,
            revision=reason.revision if reason else None,
            failed_at=(reason and reason.failed_at) or letter.sent_at,
            expires_at=letter.sent_at + lane.dead_letter_queue.retention_seconds,
            body_bytes=len(letter.body.encode("utf-8", "surrogatepass")),
            buried=reason is not None,
        )


# Error type and text of what SQS redrove.
_WITHOUT_REASON = {
    Cause.LOST: ("Lost", "every worker that had it died without a word"),
    Cause.UNREADABLE: ("UndecodableMessage", "it cannot be read"),
}


@dataclass(frozen=True, slots=True)
class Requested:
    """What a message asks for, as far as it can be read."""

    task_id: str | None = None
    task: str | None = None
    model: str | None = None
    generation: int = 0  # that a retry() of a redriven request carries on in its headers
    readable: bool = True


def requested(body: str) -> Requested:
    """Read a message's body, ours, a stock producer's, or anybody's noise."""
    try:
        message = envelope.decode(body)
    except UndecodableError:
        return Requested(readable=False)
    headers = message["headers"]
    task_id, task = _name(headers.get("id")), _name(headers.get("task"))
    if task is None:
        return Requested()
    return Requested(task_id, task, _model(message["body"]), carried_generation(headers.get("inference_generation")))


def carried_generation(value: Any) -> int:
    """The generation that a header names, 0 for what is none."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and 0 < value < MAX_GENERATION else 0


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= MAX_ID_CHARACTERS and value.isprintable() else None


def _model(payload: bytes) -> str | None:
    try:
        return _name(json.loads(payload)[1].get("model"))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def _id_of(request: Requested, body: str, generation: int) -> str | None:
    """Copies of one letter, as a kill between send and delete leaves them, have one id; different messages that say
    the same task id, as other programs may write them, have not."""
    if request.task_id is None:
        return None
    digest = hashlib.sha256(f"{generation} {body}".encode("utf-8", "surrogatepass")).hexdigest()
    return f"{request.task_id}.{digest[:8]}"


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
class Stop:
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


class LetterIndex(Protocol):
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

    def stops(self) -> list[Stop]:
        """The lanes whose consumption is stopped."""

    def stop(self, stop: Stop) -> None:
        """Stop a lane's consumption everywhere."""

    def resume(self, lane: str) -> bool:
        """Take it up again; False if it was not stopped."""

    def failures_since(self, lane: str, since: float) -> int:
        """Letters that came since then, those that were the caller's fault not counted."""


@dataclass(slots=True)
class Progress:
    """How far a long operation is; handed to a callback after each step."""

    total: int
    done: int = 0
    skipped: dict[str, int] = field(default_factory=dict)  # reason: how many
