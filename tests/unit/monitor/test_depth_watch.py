"""The watch keeps the last answer, whatever SQS does."""

import threading
from collections.abc import Callable, Sequence

from monitor.depth_watch import STALE_AFTER_SECONDS, DepthWatch
from sqs.depths import Depth


class Sqs:
    """Answers with `depths`, or raises `fault`."""

    def __init__(self, *depths: Depth) -> None:
        self.depths: Sequence[Depth] = depths
        self.fault: Exception | None = None
        self.rounds = 0

    def __call__(self) -> Sequence[Depth]:
        self.rounds += 1
        if self.fault:
            raise self.fault
        return self.depths


def depth(visible: int, queue: str = "inference") -> Depth:
    return Depth(queue, visible, 2, 1, dead_letter_queue=False, lane="inference")


def watch_of(sqs: Callable[[], Sequence[Depth]], now: list[float]) -> DepthWatch:
    return DepthWatch(sqs, clock=lambda: now[0])


def test_a_fault_keeps_the_last_depths_and_their_age() -> None:
    now = [100.0]
    sqs = Sqs(depth(7))
    watch = watch_of(sqs, now)
    watch.read_once()
    now[0] = 130.0
    sqs.fault = ConnectionError("no route\nto host")
    watch.read_once()
    reading = watch.reading
    assert reading.depths["inference"].visible == 7
    assert reading.age_seconds(now[0]) == 30.0
    assert reading.stale(now[0])
    assert reading.failure == "ConnectionError: no route to host"
    assert reading.failed_rounds == 1


def test_the_next_answer_ends_the_staleness() -> None:
    now = [100.0]
    sqs = Sqs(depth(7))
    sqs.fault = ConnectionError("away")
    watch = watch_of(sqs, now)
    watch.read_once()
    assert watch.reading.age_seconds(now[0]) is None
    assert watch.reading.stale(now[0])
    sqs.fault = None
    watch.read_once()
    assert not watch.reading.stale(now[0])
    assert (watch.reading.failure, watch.reading.failed_rounds) == (None, 1)


def test_an_answer_that_does_not_come_makes_figures_stale() -> None:
    now = [100.0]
    watch = watch_of(Sqs(depth(7)), now)
    watch.read_once()
    assert not watch.reading.stale(100.0 + STALE_AFTER_SECONDS)
    assert watch.reading.stale(101.0 + STALE_AFTER_SECONDS)


def test_a_long_fault_is_cut() -> None:
    sqs = Sqs()
    sqs.fault = ConnectionError("x" * 5_000)
    watch = watch_of(sqs, [0.0])
    watch.read_once()
    assert watch.reading.failure is not None
    assert len(watch.reading.failure) == 300


def test_the_thread_reads_again_and_again_until_stopped() -> None:
    enough = threading.Event()
    sqs = Sqs(depth(7))

    def read() -> Sequence[Depth]:
        if sqs.rounds == 2:
            sqs.fault = ConnectionError("in between")
        if sqs.rounds == 3:
            sqs.fault = None
        if sqs.rounds == 5:
            enough.set()
        return sqs()

    watch = DepthWatch(read, interval_seconds=0.001)
    watch.start()
    assert enough.wait(30.0)
    watch.stop()
    watch._thread.join(30.0)
    assert not watch._thread.is_alive()
    rounds = sqs.rounds
    assert rounds >= 6
    assert watch.reading.failed_rounds == 1


def test_many_viewers_make_no_call() -> None:
    sqs = Sqs(depth(7))
    watch = watch_of(sqs, [0.0])
    watch.read_once()
    assert {watch.reading.depths["inference"].visible for _ in range(1_000)} == {7}
    assert sqs.rounds == 1
