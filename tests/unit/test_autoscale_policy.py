"""The policy of the scaler, with a handed-in clock."""

import pytest

from tasks.autoscale.policy import FleetReading, Goal, Policy

GOAL = Goal(requests_per_second=10.0, target_wait_seconds=60.0, start_seconds=30.0, settle_seconds=4.0, maximum=20)


def reading(at: float, visible: int, in_flight: int = 0, workers: int = 0, **values: int | None) -> FleetReading:
    given: dict[str, int | None] = {"ordered": workers, "running": workers, "busy": workers if in_flight else 0}
    return FleetReading(at, visible, in_flight, **{**given, "finished": None, **values})  # type: ignore[arg-type]


def test_a_flood_wakes_as_many_as_can_drain_what_is_left_of_the_wait_in_one_step() -> None:
    # 3,000 requests are 300 s of work; workers that are there after 30 s have 30 s of the wait left.
    assert Policy(GOAL).desired(reading(0.0, visible=3_000)) == 10


def test_one_request_wakes_one_worker() -> None:
    assert Policy(GOAL).desired(reading(0.0, visible=1)) == 1


def test_nothing_to_do_needs_nobody_and_the_minimum_stays() -> None:
    assert Policy(GOAL).desired(reading(0.0, visible=0)) == 0
    warm = Goal(requests_per_second=10.0, minimum=2)
    assert Policy(warm).desired(reading(0.0, visible=0, workers=2)) == 2


def test_no_more_than_the_maximum_however_deep_the_queue() -> None:
    assert Policy(GOAL).desired(reading(0.0, visible=10**9)) == 20


def test_a_wait_shorter_than_the_start_still_gives_a_number() -> None:
    impatient = Goal(requests_per_second=10.0, target_wait_seconds=5.0, start_seconds=180.0, maximum=50)
    assert 0 < Policy(impatient).desired(reading(0.0, visible=100)) <= 50


def test_workers_on_their_way_are_not_ordered_twice() -> None:
    policy = Policy(GOAL)
    assert policy.desired(reading(0.0, visible=3_000)) == 10
    assert policy.desired(reading(2.0, visible=3_000, ordered=10, running=0)) == 10


def test_arrivals_alone_keep_the_fleet_that_they_need() -> None:
    policy = Policy(GOAL)
    wanted = [
        policy.desired(reading(at, visible=0, in_flight=20, workers=10, finished=int(50 * at)))
        for at in range(0, 30, 2)
    ]
    # 50 a second are five workers of ten a second and a tenth more; ten are busy, and none of those is taken.
    assert wanted[-1] == 10
    assert policy.arrivals_per_second() == pytest.approx(50.0)
    few_busy = [
        policy.desired(reading(at, visible=0, in_flight=20, workers=10, busy=4, finished=int(50 * at)))
        for at in range(30, 50, 2)
    ]
    assert few_busy[-1] == 6


def test_a_fleet_settles_before_it_shrinks() -> None:
    policy = Policy(GOAL)
    assert policy.desired(reading(0.0, visible=3_000)) == 10
    assert policy.desired(reading(2.0, visible=0, ordered=10, running=10, finished=0)) == 10
    assert policy.desired(reading(20.0, visible=0, ordered=10, running=10, finished=0)) == 0


def test_busy_workers_are_never_taken() -> None:
    policy = Policy(GOAL)
    for at in range(0, 60, 2):
        wanted = policy.desired(reading(at, visible=0, in_flight=3, workers=3, finished=0))
    assert wanted == 3


def test_a_counter_that_begins_anew_does_not_shrink_the_rate_below_nothing() -> None:
    policy = Policy(GOAL)
    policy.desired(reading(0.0, visible=0, in_flight=5, workers=2, finished=10_000))
    assert policy.desired(reading(5.0, visible=0, in_flight=5, workers=2, finished=3)) >= 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"requests_per_second": 0.0},
        {"requests_per_second": 1.0, "target_wait_seconds": 0.0},
        {"requests_per_second": 1.0, "minimum": 3, "maximum": 2},
        {"requests_per_second": 1.0, "maximum": 0},
    ],
)
def test_goals_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must be above|no fleet"):
        Goal(**wrong)  # type: ignore[arg-type]
