"""What a worker does about dead letters, beside making them: it notes them in the index, sweeps, keeps the limit."""

import random
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, Full, Queue
from typing import Any

from celery.signals import task_success, worker_ready
from celery.utils.log import get_logger

from celery_inference.results.access import index_of
from celery_inference.results.dead_letter_queues import dead_letter_queue, lanes_of
from celery_inference.sqs.dead_letters.entry import Entry
from celery_inference.sqs.dead_letters.index import LetterIndex
from celery_inference.sqs.dead_letters.letter import DeadLetter
from celery_inference.sqs.dead_letters.queue import BusyError, DeadLetterQueue
from celery_inference.sqs.dead_letters.writer import listen
from celery_inference.sqs.errors import SqsError
from celery_inference.sqs.lanes import Lane, lane_of
from celery_inference.sqs.messages.reason import Cause
from tasks.dead_letter_limit import DeadLetterLimit
from tasks.lane_halts import go_on_in, halt_in
from tasks.lane_watch import LaneWatch
from tasks.sweep import Sweep

logger = get_logger(__name__)

MOST_WAITING = 100  # letters that wait to be noted; each may be a mebibyte
NOTE_TRIES = 60
NOTE_PAUSE_SECONDS = 1.0
REASON = "dead letters"


class Notes:
    """Writes the letters that this worker buries into the index, in a thread of its own.

    They are in their queue before they are noted here. What a kill, or a store that is away for long, keeps from the
    index is found by the sweep.
    """

    def __init__(self, lanes: tuple[Lane, ...], index: LetterIndex) -> None:
        self._lanes = lanes
        self._index = index
        self._waiting: Queue[DeadLetter] = Queue(MOST_WAITING)

    def start(self) -> None:
        """Begin to write."""
        threading.Thread(target=self._run, name="dead-letter-notes", daemon=True).start()

    def note(self, letter: DeadLetter) -> None:
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
                logger.exception("%d dead letters could not be noted; the sweep will find them", len(letters))
            finally:
                for _ in letters:
                    self._waiting.task_done()

    def _entry(self, letter: DeadLetter) -> Entry | None:
        lane = lane_of(letter.reason.lane or "", self._lanes) if letter.reason else None
        return Entry.of(letter, lane) if lane is not None else None

    def _write(self, entries: list[Entry]) -> None:
        for _ in range(NOTE_TRIES):
            try:
                self._index.add(entries)
                return
            except OSError as error:
                logger.warning("%d dead letters wait to be noted: %s", len(entries), error)
            time.sleep(NOTE_PAUSE_SECONDS)


class Sweeper:
    """Sweeps a worker's lanes, each by whichever worker of the fleet holds the lease for it."""

    def __init__(self, app: Any, queues: list[DeadLetterQueue], seconds: float, holder: str) -> None:
        self._sweeps = [(queue, Sweep(app, queue)) for queue in queues]
        self._seconds = seconds
        self._holder = holder

    def start(self) -> None:
        """Begin to sweep, in a thread of its own."""
        threading.Thread(target=self._run, name="dead-letter-sweep", daemon=True).start()

    def _run(self) -> None:
        # Workers that start together must not ask together.
        time.sleep(random.uniform(0, self._seconds))  # noqa: S311 - spreads load
        while True:
            for queue, sweep in self._sweeps:
                try:
                    self._sweep(queue, sweep)
                except BusyError:
                    pass  # somebody is at work on these letters
                except (SqsError, OSError) as error:
                    logger.warning("the dead letters of %s could not be swept: %s", queue.lane.name, error)
                except Exception:
                    logger.exception("the dead letters of %s could not be swept", queue.lane.name)
            time.sleep(self._seconds)

    def _sweep(self, queue: DeadLetterQueue, sweep: Sweep) -> None:
        # The lease is kept between sweeps, so that one worker of the fleet asks SQS for its counts.
        if not queue.index.hold(f"sweep:{queue.lane.name}", self._holder, 3 * self._seconds) or not sweep.due():
            return
        swept = sweep.run()
        if swept.anything:
            logger.warning(
                "dead letters of %s: %d taken up, %d brought back to their lane, %d deleted",
                queue.lane.name,
                swept.taken_up,
                swept.brought_back,
                swept.deleted,
            )


_watch: LaneWatch | None = None


@worker_ready.connect
def begin(sender: Any = None, **_: Any) -> None:
    """Begin all three when the worker takes its first delivery."""
    app = sender.app
    declared = lanes_of(app)
    consumed = [lane for lane in declared if lane.name in app.amqp.queues.consume_from]
    keep_limit(sender, consumed)
    if keep_notes(app) is None:
        return  # `tasks.store_check` has said what is lacking
    # Who else takes from a lane comes and goes, and does not sweep.
    swept = [lane for lane in declared if lane in consumed or lane.consumer != "worker"]
    queues = [dead_letter_queue(app, lane) for lane in swept]
    holder = f"{socket.gethostname()}:{sender.hostname}"
    Sweeper(app, queues, app.conf.inference_sweep_seconds, holder).start()


def keep_limit(consumer: Any, lanes: Sequence[Lane]) -> None:
    """From now on, stop the lanes of this consumer that pass their limit."""
    global _watch  # noqa: PLW0603 - signals find it here
    app, conf = consumer.app, consumer.app.conf
    limits = {
        lane.name: DeadLetterLimit(
            share=conf.inference_dead_letter_share,
            least=conf.inference_dead_letter_least,
            an_hour=conf.inference_dead_letters_an_hour,
            clock=time.monotonic,
        )
        for lane in lanes
    }
    _watch = LaneWatch(
        lanes,
        limits,
        index_of(app),
        name=consumer.hostname,
        halt=halt_in(consumer, REASON),
        go_on=go_on_in(consumer, REASON),
    )
    _watch.start()
    listen(_count)


def keep_notes(app: Any) -> Notes | None:
    """From now on, note what this process buries; None where the result store has no index."""
    index = index_of(app)
    if index is None:
        return None
    notes = Notes(lanes_of(app), index)
    notes.start()
    listen(notes.note)
    return notes


def watch() -> LaneWatch | None:
    """What this worker knows of stopped lanes; None in other processes."""
    return _watch


def _count(letter: DeadLetter) -> None:
    reason = letter.reason
    if _watch is not None and reason is not None and reason.lane and reason.cause is not Cause.INVALID_INPUT:
        _watch.note(reason.lane, dead=True)


@task_success.connect
def count_success(sender: Any = None, **_: Any) -> None:
    """A request of this worker has succeeded. In a thread of the pool."""
    if _watch is not None:
        _watch.note(str((sender.request.delivery_info or {}).get("routing_key")), dead=False)
