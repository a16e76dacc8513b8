"""Why a message is a dead letter, and its generation: one message attribute, `celery-inference.reason`."""

import dataclasses
import json
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from celery_inference.specs.errors import Fault

REASON_ATTRIBUTE = "celery-inference.reason"
REASON_ROOM_BYTES = 4_096  # of a dead-letter queue's limit, kept free beside what senders may put into a message
REASON_LIMIT_BYTES = 3_072  # of the JSON; with name and type well inside that room
_FAR = 2**40  # beyond any honest count or time


class Cause(StrEnum):
    """The class of a reason: what people group dead letters by."""

    INVALID_INPUT = "invalid-input"
    MODEL_FAILED = "model-failed"  # its input, run alone, makes the model raise
    CRASH = "crash"  # its input, run alone, ends the device process
    ATTEMPTS_USED_UP = "attempts-used-up"
    UNREADABLE = "unreadable"
    UNKNOWN_TASK = "unknown-task"  # or model, or option
    REJECTED = "rejected"  # by a task's own code, or without a stated reason
    LOST = "lost"  # every host that had it died without a word; SQS's own redrive brought it

    @property
    def fault(self) -> Fault:
        """Whose fault it is."""
        return _FAULTS[self]

    @property
    def stops_lane(self) -> bool:
        """Whether many of them pause a lane: a deployment can be guilty of it, and no single request or model."""
        return self.fault in (Fault.INFRASTRUCTURE, Fault.DEPLOYMENT)

    @classmethod
    def read(cls, value: object, error_type: str | None = None) -> "Cause":
        """A cause as this version, an earlier or a later one wrote it, beside the error's type."""
        if value == cls.INVALID_INPUT and error_type == "InputFailed":
            return cls.MODEL_FAILED  # an earlier version filed it under the caller's
        return cls(str(value)) if value in list(cls) else cls.REJECTED


_FAULTS = {
    Cause.INVALID_INPUT: Fault.CALLER,
    Cause.UNREADABLE: Fault.CALLER,
    Cause.MODEL_FAILED: Fault.MODEL,
    Cause.CRASH: Fault.MODEL,
    Cause.ATTEMPTS_USED_UP: Fault.INFRASTRUCTURE,
    Cause.LOST: Fault.INFRASTRUCTURE,
    Cause.UNKNOWN_TASK: Fault.DEPLOYMENT,
    Cause.REJECTED: Fault.DEPLOYMENT,
}

# For reasons that state no cause.
_CAUSES = {
    "UndecodableMessage": Cause.UNREADABLE,
    "UnknownTask": Cause.UNKNOWN_TASK,
    "NotATask": Cause.UNKNOWN_TASK,
}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a message is a dead letter. What is known only when the dead letter is written is filled in then.

    `message` is the error's first line, `message_id` SQS's id of the message that failed (its dead letter has
    another), `failed_at` in seconds since the epoch, `group` the message group on a FIFO lane,
    `traceback` the model's own, or its end.
    """

    error_type: str
    message: str
    attempts: int
    worker: str | None = None
    model: str | None = None
    task_id: str | None = None
    cause: Cause | None = None
    revision: str | None = None
    lane: str | None = None
    generation: int = 0
    failed_at: float | None = None
    message_id: str | None = None
    group: str | None = None
    traceback: str | None = None

    def to_json(self, limit_bytes: int = REASON_LIMIT_BYTES) -> str:
        """As the attribute's value: ASCII, shortened until it fits into the limit: the traceback first."""
        shortened = self
        while True:
            fields = {name: value for name, value in dataclasses.asdict(shortened).items() if value is not None}
            value = json.dumps(fields)
            too_many = len(value) - limit_bytes
            # A character is up to 12 bytes of JSON; at least one goes in each round.
            if too_many <= 0 or not (shortened.traceback or shortened.message):
                return value
            if text := shortened.traceback:
                shortened = dataclasses.replace(shortened, traceback=text[too_many // 12 + 4 :] or None)
            else:
                text = shortened.message
                left = min(len(text) - 1, max(0, len(text) - too_many // 12 - 4))
                shortened = dataclasses.replace(shortened, message=text[:left])

    @classmethod
    def from_json(cls, value: str) -> "Reason":
        """Read an attribute's value, of this or another version; unknown fields are dropped."""
        try:
            fields = json.loads(value)
            given = {name: field for name, field in fields.items() if _fits(name, field)}
            if "cause" in given:
                given["cause"] = Cause.read(given["cause"], given.get("error_type"))
            return cls(**given)
        except (TypeError, ValueError, AttributeError, RecursionError):
            return cls(error_type="Unknown", message=value[:200], attempts=0)

    @property
    def stated_cause(self) -> Cause:
        """The cause, or what the error's type says of it."""
        return self.cause or _CAUSES.get(self.error_type, Cause.REJECTED)


_NUMBERS = ("attempts", "generation", "failed_at")
_TEXTS = tuple(field.name for field in dataclasses.fields(Reason) if field.name not in _NUMBERS)


def _fits(name: str, value: Any) -> bool:
    """Whether a field of an attribute, which anybody may have written, can be the reason's."""
    if name == "cause":
        return value in list(Cause)
    if name in _NUMBERS:
        return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _FAR
    return name in _TEXTS and isinstance(value, str)


@dataclass(frozen=True, slots=True)
class Mark:
    """What the attribute says of a message on its way back to a lane: its generation, how often it was brought back
    because it had attempts to spare, when its first copy was sent, in seconds since the epoch, 0 for this one, and how
    often its earlier copies were delivered."""

    generation: int
    returns: int = 0
    first_sent_at: float = 0.0
    deliveries: int = 0

    def attribute(self) -> dict[str, str]:
        """As a message attribute."""
        fields: dict[str, float] = {"generation": self.generation}
        if self.returns:
            fields["returns"] = self.returns
        if self.first_sent_at:
            fields["first_sent_at"] = round(self.first_sent_at, 3)
        if self.deliveries:
            fields["deliveries"] = self.deliveries
        return {"DataType": "String", "StringValue": json.dumps(fields, separators=(",", ":"))}


def mark_of(attributes: dict[str, Any]) -> Mark:
    """The mark of a message on a lane; generation 0 for one that was never a dead letter, or whose mark is foreign."""
    value = attributes.get(REASON_ATTRIBUTE, {}).get("StringValue")
    try:
        fields = json.loads(value) if value else {}
        generation, returns = int(fields.get("generation", 0)), int(fields.get("returns", 0))
        first_sent_at, deliveries = float(fields.get("first_sent_at", 0.0)), int(fields.get("deliveries", 0))
    except (TypeError, ValueError, AttributeError, OverflowError, RecursionError):
        return Mark(0)
    counts = (generation, returns, deliveries)
    if not (all(0 <= count < _FAR for count in counts) and 0 <= first_sent_at < math.inf):
        return Mark(0)
    # StartMessageMoveTask moves a letter as it is.
    if "error_type" in fields:
        return Mark(generation + 1, returns)
    return Mark(generation, returns, first_sent_at, deliveries)


def reason_of(attributes: dict[str, Any]) -> Reason | None:
    """The reason of a message in a DLQ; None when SQS's own redrive brought it, marked or not."""
    attribute = attributes.get(REASON_ATTRIBUTE)
    if attribute is None:
        return None
    value = attribute.get("StringValue") or ""
    try:
        fields = json.loads(value)
        if isinstance(fields, dict) and "generation" in fields and "error_type" not in fields:
            return None
    except (ValueError, RecursionError):
        pass
    return Reason.from_json(value)
