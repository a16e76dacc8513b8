"""What SQS answered last, to whom its clients are: whether a worker can receive follows from it. Thread-safe."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from celery_inference.sqs.errors import (
    DeniedError,
    NoRegionError,
    QueueMissingError,
    RefusedError,
    SqsError,
    is_credentials,
)

POLL = "ReceiveMessage"
FIRST = "GetQueueUrl"  # what a queue's first poll waits for


@dataclass(slots=True)
class _Polls:
    under_way: int = 0
    began_at: float = 0.0
    failures: int = 0  # in a row
    error: SqsError | None = None


class CallRecord:
    """Times are of `clock`, in seconds that only grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._polls: dict[str, _Polls] = {}
        self._answered_at = clock()
        self._error: SqsError | None = None

    @property
    def silent_seconds(self) -> float:
        """For how long no call has been answered as it should be."""
        return self._clock() - self._answered_at

    @property
    def error(self) -> SqsError | None:
        """Of the last call, if it failed."""
        return self._error

    def begin(self, operation: str, queue: str) -> None:
        """A call begins."""
        if operation == POLL:
            with self._lock:
                polls = self._polls.setdefault(queue, _Polls())
                polls.under_way += 1
                polls.began_at = self._clock()

    def end(self, operation: str, queue: str, error: SqsError | None = None) -> None:
        """It was answered, or failed with this error."""
        self._error = error
        if error is None:
            self._answered_at = self._clock()
        if operation in (POLL, FIRST):
            with self._lock:
                polls = self._polls.setdefault(queue, _Polls())
                polls.under_way -= operation == POLL
                polls.error = error
                polls.failures = 0 if error is None else polls.failures + 1

    def poll_fault(self, queue: str, *, poll_seconds: float, silent_seconds: float) -> str | None:
        """Why messages of this queue cannot be received now, a sentence; None where they can.

        That is when its last two polls failed, or one that SQS refused; and, while none is under way, since no slot is
        free or it was never asked, when no call at all was answered for `silent_seconds`. A poll takes `poll_seconds`
        at most.
        """
        with self._lock:
            polls = self._polls.get(queue, _Polls())
            error, failures = polls.error, polls.failures
            listening = polls.under_way > 0 and self._clock() - polls.began_at <= poll_seconds
        if error is not None and (failures >= 2 or is_refusal(error)):
            return f"queue {queue} cannot be received from: {error}"
        if listening or self.silent_seconds <= silent_seconds:
            return None
        why = self._error or error
        return f"SQS has answered no call for {self.silent_seconds:.0f} s{f': {why}' if why else ''}"


def is_refusal(error: SqsError) -> bool:
    """Whether a call was refused, by SQS or by the host it went to: one such answer says that the next fails, too."""
    from botocore.exceptions import EndpointConnectionError, NoCredentialsError

    cause = error.__cause__
    if isinstance(error, DeniedError | NoRegionError | QueueMissingError | RefusedError):
        return True
    return cause is not None and (
        is_credentials(cause) or isinstance(cause, EndpointConnectionError | NoCredentialsError)
    )
