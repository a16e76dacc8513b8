"""Ending work from a signal handler.

A handler runs in the middle of whatever the main thread was doing, so it must take no lock. The functions
here only put a word into a queue (`SimpleQueue.put` is made for that); a daemon thread acts on it.
"""

import logging
import os
import queue
import threading
import weakref
from collections.abc import Callable
from typing import Protocol

logger = logging.getLogger(__name__)


class Stoppable(Protocol):
    """What holds deliveries."""

    def stop_receiving(self) -> None:
        """Deliver nothing more; release what waits."""

    def release_all(self) -> None:
        """Release what runs, too."""

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until SQS has been told."""


Command = tuple[Callable[[Stoppable], object], Callable[[], object]]


class _Stopper:
    """The consumers of this process and the thread that stops them."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._members: weakref.WeakSet[Stoppable] = weakref.WeakSet()
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, member: Stoppable) -> None:
        with self._lock:
            self._members.add(member)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="sqs-stop", daemon=True)
                self._thread.start()

    def discard(self, member: Stoppable) -> None:
        with self._lock:
            self._members.discard(member)

    def members(self) -> list[Stoppable]:
        with self._lock:
            return list(self._members)

    def tell(self, act: Callable[[Stoppable], object], then: Callable[[], object]) -> None:
        if self._thread is None:
            then()
        else:
            self._commands.put((act, then))

    def _run(self) -> None:
        commands = self._commands
        while True:
            act, then = commands.get()
            for member in self.members():
                try:
                    act(member)
                except Exception:
                    # The others, and who ends the process after this, must not be kept from it.
                    logger.exception("a channel could not be stopped; its messages come back when their leases end")
            then()


STOPPER = _Stopper()
os.register_at_fork(after_in_child=STOPPER.reset)


def stop_receiving() -> None:
    """From now on deliver nothing more in this process, and make visible again what has not started.

    For the worker's first signal (Celery's `worker_shutting_down`): its blocking loop would drain once more
    for up to two seconds. Does not block; safe in signal handlers.
    """
    STOPPER.tell(lambda member: member.stop_receiving(), _nothing)


def _nothing() -> None:
    pass


def release_everything(timeout_seconds: float = 0.0, then: Callable[[], object] = _nothing) -> None:
    """Stop receiving and make visible again what runs, too; whatever still becomes of that work is ignored.

    For a cold shutdown, and for a second signal. Safe in signal handlers: it does not block, because the work that a
    handler interrupts may hold the very lock that a release waits for. `then` is called in a thread of its own when SQS
    has answered, or has not in about `timeout_seconds` for each channel; here and now where no channel was ever made.
    """

    def act(member: Stoppable) -> None:
        member.stop_receiving()
        member.release_all()
        if timeout_seconds > 0:
            member.flush(timeout_seconds)

    STOPPER.tell(act, then)
