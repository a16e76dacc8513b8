"""Revocations at receive: what was revoked is known before it is handed over, by one read of the store a receive.

A store that hangs must not end the receiving. A receive waits for its read for WAIT_SECONDS at most, and for none while
one that is late is under way; its messages are then handed over unread, and each is looked up once more before its work
begins. Where the store answers that it is away, requests go on: what they need of it they wait for themselves.
"""

import threading
from collections.abc import Callable, Collection, Sequence

from celery import Celery
from celery.utils.log import get_logger
from celery.worker import state

from celery_inference.results.access import store_of
from celery_inference.results.protocol import StoreUnavailable
from celery_inference.sqs.consumer.message import Message

logger = get_logger(__name__)

# Less than a worker that stops waits for late answers: celery_inference.sqs.consumer.receiver.LATE_ANSWER_SECONDS.
WAIT_SECONDS = 0.25

Read = Callable[[Collection[str]], Collection[str]]  # of request ids, those that were revoked; may block


class Revocations:
    """Reads for all receivers of this process in one thread, several receives at once where they come together."""

    def __init__(self, read: Read, wait_seconds: float = WAIT_SECONDS) -> None:
        self._read = read
        self._wait_seconds = wait_seconds
        self._changed = threading.Condition()
        self._wanted: set[str] = set()
        self._reading: set[str] = set()
        self._late = False
        self._thread: threading.Thread | None = None

    def look(self, messages: Sequence[Message]) -> None:
        """In a receiver's thread: learn which of these were revoked, if the store says so in time."""
        ids = {str(task_id) for message in messages if (task_id := message.headers.get("id"))}
        if not ids:
            return
        with self._changed:
            self._wanted |= ids
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="revocations", daemon=True)
                self._thread.start()
            self._changed.notify_all()
            if self._late or self._changed.wait_for(lambda: self._is_read(ids), self._wait_seconds):
                return
            self._late = True
        logger.warning("whether requests were revoked is not read in time; they are looked up before their work begins")

    def take_unread(self, task_id: str) -> bool:
        """Before the work begins: whether this one was handed over unread. True once, for who then looks it up."""
        with self._changed:
            unread = task_id in self._wanted or task_id in self._reading
            self._wanted.discard(task_id)
            self._reading.discard(task_id)
        return unread

    def _is_read(self, ids: set[str]) -> bool:
        return not ids & self._wanted and not ids & self._reading

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted)
                ids, self._wanted = frozenset(self._wanted), set()
                self._reading = set(ids)
            try:
                state.revoked.update(self._read(ids))
            except StoreUnavailable as error:
                logger.warning("whether %d requests were revoked cannot be read, and they go on: %s", len(ids), error)
            except Exception:
                logger.exception("whether %d requests were revoked cannot be read, and they go on", len(ids))
            with self._changed:
                self._reading, self._late = set(), False
                self._changed.notify_all()


def revoked_in(app: Celery) -> Read:
    """What reads revocations from the application's result store; of a store that keeps none, none."""

    def read(ids: Collection[str]) -> Collection[str]:
        store = store_of(app)
        return () if store is None else store.cancelled(ids)

    return read
