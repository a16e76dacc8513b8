"""How long a page lags, and how many calls that costs, by arithmetic instead of sleeping."""

import pytest

from celery_inference.sqs.broadcast import batching_window
from celery_inference.sqs.broadcast.batching_window import BatchingWindow, ReceiveInterval


def lag_of(workers: int, events_a_second: float, seconds: float = 60.0) -> tuple[float, int]:
    """The worst wait of an event in its group, and how many groups one worker sends."""
    grouping, worst, groups, now, step = BatchingWindow(100_000), 0.0, 0, 0.0, 1 / events_a_second
    added: list[float] = []
    while now < seconds:
        while grouping.due_at is not None and grouping.due_at <= now:
            worst = max(worst, grouping.due_at - added[0])
            grouping.take(grouping.due_at)
            added.clear()
            groups += 1
        grouping.add("{}", now, workers, of_task=True)
        added.append(now)
        now += step
    return worst, groups


@pytest.mark.parametrize("rate", [0.3, 1.0, 20.0, 150.0])
def test_a_lone_worker_s_events_wait_less_than_a_second(rate: float) -> None:
    worst, groups = lag_of(1, rate)
    assert worst <= batching_window.SHORTEST_SECONDS + 0.05
    assert groups <= 60 / batching_window.SHORTEST_SECONDS + 2


@pytest.mark.parametrize("rate", [0.3, 1.0, 20.0, 150.0])
def test_many_workers_send_seldom_and_still_in_time(rate: float) -> None:
    worst, groups = lag_of(100, rate)
    assert worst + batching_window.BUSY_PAUSE_SECONDS <= 4.5
    assert groups <= 60 / batching_window.LONGEST_SECONDS + 2


def test_the_first_event_after_a_silence_does_not_wait_for_a_window() -> None:
    grouping = BatchingWindow(10)
    grouping.add("{}", 100.0, 100, of_task=False)
    assert grouping.due_at == 100.0 + batching_window.FIRST_SECONDS
    grouping.take(100.25)
    grouping.add("{}", 100.3, 100, of_task=True)
    assert grouping.due_at == 100.25 + batching_window.LONGEST_SECONDS
    assert grouping.tasks


def test_events_without_room_are_counted() -> None:
    grouping = BatchingWindow(2)
    for _ in range(5):
        grouping.add("{}", 0.0, 1, of_task=True)
    assert grouping.dropped == 3
    assert len(grouping.take(1.0)) == 2


def test_who_watches_pauses_only_where_many_send() -> None:
    watching = ReceiveInterval()
    assert watching.pause_seconds(1, 0.0, workers=3) == 0.0
    assert watching.pause_seconds(0, 0.0, workers=100) == 0.0
    assert watching.pause_seconds(10, 0.0, workers=100) == 0.0
    assert watching.pause_seconds(1, 0.0, workers=100) == batching_window.IDLE_PAUSE_SECONDS
    watching.task_seen(5.0)
    assert watching.pause_seconds(1, 6.0, workers=100) == batching_window.BUSY_PAUSE_SECONDS
    assert batching_window.IDLE_PAUSE_SECONDS + batching_window.FIRST_SECONDS < 5.0
    assert batching_window.LONGEST_SECONDS + batching_window.BUSY_PAUSE_SECONDS < 5.0
