"""Depths are read each few seconds while somebody looks, and more rarely when nobody does or nothing moves."""

from collections.abc import Sequence
from threading import Event

from celery_inference.sqs.lanes import Lane
from celery_inference.sqs.queues.depths import Depth
from monitor.queues.poll_interval import (
    CALM_SECONDS,
    INTERVAL_SECONDS,
    MOVING_SECONDS,
    SEEN_SECONDS,
    UNSEEN_SECONDS,
    PollInterval,
)
from monitor.queues.watcher import DepthWatch
from tests.support.lanes import INFERENCE


def test_rounds_are_rare_until_somebody_looks() -> None:
    pace = PollInterval()
    pace.changed_at = 100.0
    assert pace.interval_seconds(101.0) == UNSEEN_SECONDS
    pace.looked_at = 101.0
    assert pace.interval_seconds(102.0) == INTERVAL_SECONDS
    pace.looked_at = 101.0 + MOVING_SECONDS
    assert pace.interval_seconds(101.0 + MOVING_SECONDS) == CALM_SECONDS
    assert pace.interval_seconds(pace.looked_at + SEEN_SECONDS + 1) == UNSEEN_SECONDS


def test_who_comes_to_look_is_not_made_to_wait_for_a_rare_round() -> None:
    read_again = Event()
    rounds: list[str] = []

    def read(lane: Lane) -> Sequence[Depth]:
        rounds.append(lane.name)
        if len(rounds) > 1:
            read_again.set()
        return ()

    now = [1_000.0]
    watch = DepthWatch([INFERENCE], read, clock=lambda: now[0])
    watch.start()
    assert not read_again.wait(0.3)
    now[0] += UNSEEN_SECONDS - 1
    watch.look()
    assert read_again.wait(30.0)
    watch.stop()
