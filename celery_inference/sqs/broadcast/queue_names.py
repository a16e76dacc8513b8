"""Names of the broadcast's queues, which are its bindings, and of the kombu entities that they stand for.

    {prefix}-{kind}-{owner}{unique}      owner and unique: 12 hexadecimal digits each

`control` queues are the workers' inboxes, `events` queues those of who watches, `reply` queues those of who asks.
A name is never used twice: SQS refuses for a minute the name of a queue that was deleted. Owner is a digest of the
worker's name, so that a command for one worker is sent to that worker.
"""

import hashlib
import re
import secrets
from enum import StrEnum

from celery_inference.sqs import limits

_DIGITS = 12
_TAIL = 2 * _DIGITS
_LONGEST_KIND = len("-control-")
MAX_PREFIX_CHARACTERS = limits.MAX_QUEUE_NAME_CHARACTERS - _LONGEST_KIND - _TAIL
_PREFIX = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_PREFIX_CHARACTERS}}}")


class QueueKind(StrEnum):
    """What a broadcast queue is for."""

    CONTROL = "control"
    EVENTS = "events"
    REPLY = "reply"


# Their owners live long: they renew their leases, and delete what others have left behind.
NODES = (QueueKind.CONTROL, QueueKind.EVENTS)


def is_prefix(text: str) -> bool:
    """Whether queue names may begin so."""
    return _PREFIX.fullmatch(text) is not None


def owner_of(worker: str) -> str:
    """The part of a control queue's name that stands for the worker."""
    return hashlib.sha256(worker.encode()).hexdigest()[:_DIGITS]


def new_name(prefix: str, kind: QueueKind, owner: str = "") -> str:
    """A name that no queue has had; `owner` is a worker's name."""
    return f"{prefix}-{kind}-{owner_of(owner) if owner else secrets.token_hex(_DIGITS // 2)}{unique()}"


def unique() -> str:
    """The part of a name that no other has."""
    return secrets.token_hex(_DIGITS // 2)


def queue_kind_of(prefix: str, name: str) -> QueueKind | None:
    """What a queue is for, None if it is none of this broadcast."""
    if not name.startswith(f"{prefix}-"):
        return None
    kind, _, tail = name[len(prefix) + 1 :].partition("-")
    if kind not in tuple(QueueKind) or len(tail) != _TAIL or not all(digit in "0123456789abcdef" for digit in tail):
        return None
    return QueueKind(kind)


def owner_in(name: str) -> str:
    """The owner's part of a name."""
    return name[-_TAIL:-_DIGITS]


def place_of(name: str) -> str:
    """Where a queue stands in the ring in which each member watches over the one before it."""
    return name[-_DIGITS:]


def kind_of_queue(queue: str) -> QueueKind | None:
    """What a kombu queue is for, None for queues of tasks; Celery names them so."""
    if queue.endswith(".pidbox"):
        return QueueKind.REPLY if ".reply." in queue else QueueKind.CONTROL
    return QueueKind.EVENTS if queue.startswith("celeryev.") else None


def kind_of_exchange(exchange: str) -> QueueKind | None:
    """What is published to an exchange, None for tasks."""
    if exchange.endswith(".pidbox"):
        return QueueKind.REPLY if exchange.startswith("reply.") else QueueKind.CONTROL
    return QueueKind.EVENTS if exchange == "celeryev" else None
