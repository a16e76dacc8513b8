"""The watch keeps the last answers, whatever SQS does."""

import threading
from collections.abc import Sequence

from celery_inference.sqs.errors import DeniedError
from celery_inference.sqs.lanes import DeclaredQueue, Lane
from celery_inference.sqs.queues.depths import Depth
from monitor.queues.poll_interval import PollInterval
from monitor.queues.report import DepthReporter
from monitor.queues.watcher import STALE_AFTER_SECONDS, DepthWatch

LANE = Lane(DeclaredQueue("inference"), DeclaredQueue("inference-dlq"))
BULK = Lane(DeclaredQueue("bulk"), DeclaredQueue("bulk-dlq"))


class Quick(PollInterval):
    def interval_seconds(self, now: float) -> float:
        return 0.001


class Sqs:
    """Answers with `visible` messages in each queue, or raises the lane's fault."""

    def __init__(self, visible: int = 7) -> None:
        self.visible = visible
        self.faults: dict[str, Exception] = {}
        self.asked = 0
        self.now_seconds = 100.0

    def __call__(self, lane: Lane) -> Sequence[Depth]:
        self.asked += 1
        if lane.name in self.faults:
            raise self.faults[lane.name]
        return [
            Depth(lane.queue.name, self.visible, 2, 1, False, lane.name),
            Depth(lane.dead_letter_queue.name, 0, 0, 0, True, lane.name),
        ]

    def watch(self, *lanes: Lane) -> DepthWatch:
        return DepthWatch(lanes or (LANE,), self, clock=lambda: self.now_seconds)


def test_a_fault_keeps_the_last_depths_and_their_age() -> None:
    sqs = Sqs()
    watch = sqs.watch()
    watch.read_once()
    sqs.now_seconds = 130.0
    sqs.faults["inference"] = ConnectionError("no route\nto host")
    watch.read_once()
    reading = watch.reading(LANE)
    assert reading.depths[0].visible == 7
    assert reading.age_seconds(sqs.now_seconds) == 30.0
    assert reading.stale(sqs.now_seconds)
    assert reading.failure == "ConnectionError: no route to host"
    assert reading.failed_rounds == 1


def test_the_next_answer_ends_the_staleness() -> None:
    sqs = Sqs()
    sqs.faults["inference"] = ConnectionError("away")
    watch = sqs.watch()
    watch.read_once()
    assert watch.reading(LANE).age_seconds(sqs.now_seconds) is None
    assert watch.reading(LANE).stale(sqs.now_seconds)
    sqs.faults.clear()
    watch.read_once()
    assert not watch.reading(LANE).stale(sqs.now_seconds)
    assert (watch.reading(LANE).failure, watch.reading(LANE).failed_rounds) == (None, 1)


def test_a_lane_that_is_denied_does_not_hide_the_others() -> None:
    sqs = Sqs()
    reporter = DepthReporter([LANE, BULK], sqs)
    reporter.watch.read_once()
    sqs.visible = 8
    sqs.faults["inference"] = DeniedError("GetQueueAttributes", "inference", "no policy")
    reporter.watch.read_once()
    report = reporter.report()
    assert [queue.visible for queue in report.queues] == [7, 0, 8, 0]
    assert report.stale_lanes == ["inference"]
    assert report.freshness.startswith("1 of 2 lanes cannot be read")
    assert report.failures == [f"inference: {sqs.faults['inference']}"]


def test_an_answer_that_does_not_come_makes_figures_stale() -> None:
    sqs = Sqs()
    watch = sqs.watch()
    watch.read_once()
    assert not watch.reading(LANE).stale(100.0 + STALE_AFTER_SECONDS)
    assert watch.reading(LANE).stale(101.0 + STALE_AFTER_SECONDS)


def test_a_long_fault_is_cut() -> None:
    sqs = Sqs()
    sqs.faults["inference"] = ConnectionError("x" * 5_000)
    watch = sqs.watch()
    watch.read_once()
    failure = watch.reading(LANE).failure
    assert failure is not None
    assert len(failure) == 300


def test_the_thread_reads_again_and_again_until_stopped() -> None:
    enough = threading.Event()
    sqs = Sqs()

    def read(lane: Lane) -> Sequence[Depth]:
        if sqs.asked == 2:
            sqs.faults["inference"] = ConnectionError("in between")
        if sqs.asked == 3:
            sqs.faults.clear()
        if sqs.asked == 5:
            enough.set()
        return sqs(lane)

    watch = DepthWatch([LANE], read, pace=Quick())
    watch.start()
    assert enough.wait(30.0)
    watch.stop()
    watch._thread.join(30.0)
    assert not watch._thread.is_alive()
    assert watch.reading(LANE).failed_rounds == 1


def test_many_viewers_make_no_call() -> None:
    sqs = Sqs()
    reporter = DepthReporter([LANE], sqs)
    reporter.watch.read_once()
    assert {reporter.report().queues[0].visible for _ in range(1_000)} == {7}
    assert sqs.asked == 1
