"""Drain time is told when a lane is draining, and only then."""

from hypothesis import given
from hypothesis import strategies as st

from monitor.queues.drain_time import drain_seconds
from monitor.queues.history import Sample


def samples(*messages: int) -> list[Sample]:
    return [Sample(5.0 * index, count, 0, 0) for index, count in enumerate(messages)]


def test_a_steady_fall_is_carried_on_to_zero() -> None:
    assert drain_seconds(samples(100, 90, 80, 70, 60)) == 30.0


def test_what_came_before_the_peak_was_another_load() -> None:
    assert drain_seconds(samples(0, 0, 0, 500, 450, 400, 350)) == 35.0


def test_an_empty_lane_needs_no_time() -> None:
    assert drain_seconds(samples(3, 0)) == 0.0


def test_a_growing_or_standing_lane_has_no_drain_time() -> None:
    assert drain_seconds(samples(1, 2, 3, 4, 5)) is None
    assert drain_seconds(samples(5, 5, 5, 5, 5)) is None


def test_too_little_is_known_after_a_few_readings() -> None:
    assert drain_seconds([]) is None
    assert drain_seconds(samples(9, 8, 7)) is None


def test_messages_in_flight_and_delayed_are_not_drained_yet() -> None:
    leased = [Sample(5.0 * index, 0, 30 - 10 * index, 10) for index in range(4)]
    assert drain_seconds(leased) == 5.0


@given(st.lists(st.integers(0, 10**9), max_size=40))
def test_it_is_never_negative_whatever_the_counts(counts: list[int]) -> None:
    seconds = drain_seconds(samples(*counts))
    assert seconds is None or seconds >= 0
