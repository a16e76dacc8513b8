"""Writes the dead letters of this worker into the index."""

import threading
import time
from contextlib import suppress
from queue import Empty, Full, Queue
from typing import Any

from celery.utils.log import get_logger

from celery_inference.results.access import index_of
from celery_inference.results.dead_letter_queues import lanes_of
from celery_inference.sqs.dead_letters.entry import Entry
from celery_inference.sqs.dead_letters.index import DeadLetterIndex
from celery_inference.sqs.dead_letters.letter import DeadLetter
from celery_inference.sqs.dead_letters.writer import listen
from celery_inference.sqs.lanes import Lane, lane_of

logger = get_logger(__name__)


MOST_WAITING = 100  # letters that wait to be indexed; each may be a mebibyte
WRITE_TRIES = 60
WRITE_PAUSE_SECONDS = 1.0


class IndexWriter:
    """Writes the dead letters of this worker into the index, in a thread of its own.

    They are in their queue before they are written here. What a kill, or a store that is away for long, keeps from the
    index is found by the reconciler.
    """

    def __init__(self, lanes: tuple[Lane, ...], index: DeadLetterIndex) -> None:
        self._lanes = lanes
        self._index = index
        self._waiting: Queue[DeadLetter] = Queue(MOST_WAITING)

    def start(self) -> None:
        """Begin to write."""
        threading.Thread(target=self._run, name="dead-letter-index", daemon=True).start()

    def enqueue(self, letter: DeadLetter) -> None:
        """Take a letter; never blocks."""
        with suppress(Full):
            self._waiting.put_nowait(letter)

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until what was taken is written, or given up; False if that took too long."""
        done = self._waiting.all_tasks_done
        with done:
            return done.wait_for(lambda: not self._waiting.unfinished_tasks, timeout_seconds)

    def _run(self) -> None:
        while True:
            letters = [self._waiting.get()]
            with suppress(Empty):
                while len(letters) < MOST_WAITING:
                    letters.append(self._waiting.get_nowait())
            try:
                self._write([entry for letter in letters if (entry := self._entry(letter)) is not None])
            except Exception:
                logger.exception("%d dead letters could not be indexed; the reconciler will find them", len(letters))
            finally:
                for _ in letters:
                    self._waiting.task_done()

    def _entry(self, letter: DeadLetter) -> Entry | None:
        lane = lane_of(letter.reason.lane or "", self._lanes) if letter.reason else None
        return Entry.of(letter, lane) if lane is not None else None

    def _write(self, entries: list[Entry]) -> None:
        for _ in range(WRITE_TRIES):
            try:
                self._index.add(entries)
                return
            except OSError as error:
                logger.warning("%d dead letters wait to be indexed: %s", len(entries), error)
            time.sleep(WRITE_PAUSE_SECONDS)


def start_index_writer(app: Any) -> IndexWriter | None:
    """From now on, write the dead letters of this process into the index; None where the result store has no index."""
    index = index_of(app)
    if index is None:
        return None
    writer = IndexWriter(lanes_of(app), index)
    writer.start()
    listen(writer.enqueue)
    return writer
