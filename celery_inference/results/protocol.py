"""What a result store is told, and what it answers; `celery_inference.results.store.store` is the store."""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from celery_inference.specs.errors import Transient

# Longer than SQS keeps a message: no delivery of the request can come after it.
KEEP_SECONDS = 15 * 86_400.0


class StoreUnavailable(Transient, OSError):
    """The store is away, locked or full. Nothing was written; the same call may succeed later."""


class Start(NamedTuple):
    """The beginning of one attempt. `delivery` names the delivery: the same one counts once, however often it is told.

    `host` is the worker's node name.
    """

    task_id: str
    generation: int
    delivery: str
    host: str


@dataclass(frozen=True, slots=True)
class Attempts:
    """The attempts of one request in one generation; `hosts` has the host of each, in their order."""

    count: int = 0
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HostCounts:
    """Attempts that a host has begun, and those of them that failed by no fault of their request."""

    started: int = 0
    failed: int = 0


class Submission(Enum):
    """What a submitter of work under a deduplication key finds."""

    OURS = "ours"  # nobody sent it: this submitter is to send it
    ANOTHERS = "another's"  # somebody is sending it now
    SENT = "sent"  # it was sent


class Chord(Enum):
    """What has become of a chord after one of its parts."""

    RUNNING = "running"  # parts are still to end
    ENDED = "ended"  # every part has; its body is to be sent
    CLOSED = "closed"  # its body was sent
