"""What inference needs of a result store beyond Celery's own interface.

`celery_inference.results.access.store_of(app)` gives it; a backend that has none gives None.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from celery_inference.specs.errors import InferenceError

# Longer than SQS keeps a message: no delivery of the request can come after it.
KEEP_SECONDS = 15 * 86_400.0


class StoreUnavailable(InferenceError, OSError):
    """The store is away, locked or full. Nothing was written; the same call may succeed later."""


@dataclass(frozen=True, slots=True)
class Start:
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


class ResultStore(Protocol):
    """All methods may be called from any thread, block until their writes are durable, and raise StoreUnavailable.

    Rows that nobody needs any more expire by themselves.
    """

    def begin_attempts(self, starts: Sequence[Start]) -> list[int]:
        """Count an attempt for each, in one write; returns their numbers, from 1."""

    def take_back_attempts(self, starts: Sequence[Start]) -> None:
        """Uncount those whose last attempt was this delivery's: they have not ended in an error of their own."""

    def attempts(self, requests: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], Attempts]:
        """The attempts of each (task id, generation), in one read; those without any are left out."""

    def record_failures(self, host: str, count: int) -> None:
        """So many attempts failed on this host by no fault of their requests."""

    def host_counts(self, since: float) -> Mapping[str, HostCounts]:
        """The figures of each host since then (seconds since the epoch, to the minute)."""

    def hosts(self, since: float) -> set[str]:
        """The hosts that have begun attempts since then (seconds since the epoch)."""

    def open_generations(self, requests: Sequence[tuple[str, int]]) -> None:
        """Begin a generation of each (task id, generation): pending, attempts from 0, the old outcome kept for reading.

        Nothing happens to those that have reached it already.
        """

    def generations(self, task_ids: Sequence[str]) -> Mapping[str, int]:
        """The generation of each task whose state is stored; others are left out."""

    def past_outcomes(self, task_id: str) -> Mapping[int, bytes]:
        """The outcomes of generations before the present one, encoded as the backend encodes them."""

    def cancel(self, task_ids: Collection[str], keep_seconds: float) -> None:
        """Record the revocation of each: whoever holds or receives the request is to end it as cancelled."""

    def cancelled(self, task_ids: Collection[str]) -> set[str]:
        """Those that are revoked, in one read."""

    def hold(self, name: str, holder: str, seconds: float) -> bool:
        """Take or renew the lease of this name for one holder; False when it is another's."""

    def let_go(self, name: str, holder: str) -> None:
        """Give a lease back; nothing happens when it is another's."""

    def record_poison_input(self, digest: str, sentence: str, keep_seconds: float) -> None:
        """Remember that inputs of this digest ended a device process when they ran alone."""

    def poison_inputs(self, digests: Collection[str]) -> Mapping[str, str]:
        """The sentences of those digests that are known to end device processes, in one read."""

    def end_part(self, group_id: str, task_id: str, size: int) -> Chord:
        """Add one ended part to the set of a chord of this size, which may hold it already."""

    def close_chord(self, group_id: str) -> None:
        """The chord's body was sent."""

    def claim_submission(self, task_id: str, submitter: str, seconds: float) -> Submission:
        """Ask to send the work of this id; a claim that is not confirmed in `seconds` counts for nothing."""

    def confirm_submission(self, task_id: str, keep_seconds: float) -> None:
        """The work was sent; who submits it again within that time is told so."""
