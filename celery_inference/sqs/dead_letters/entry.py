"""One line of the index of dead letters, and what can be read of a letter's body."""

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from celery_inference.sqs.dead_letters.letter import DeadLetter
from celery_inference.sqs.errors import UndecodableError
from celery_inference.sqs.lanes import Lane
from celery_inference.sqs.messages import envelope
from celery_inference.sqs.messages.reason import Cause

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
