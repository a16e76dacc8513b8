"""The limit on dead letters: the policy, and a fleet that keeps it."""

from pathlib import Path

import pytest
from celery import Celery

from celery_inference.results.sqlite.backend import SQLiteBackend
from celery_inference.results.store.dead_letter_index import TableDeadLetterIndex
from celery_inference.sqs.dead_letters.index import LanePause
from celery_inference.sqs.dead_letters.letter import DeadLetter
from celery_inference.sqs.messages.reason import Cause, Reason
from tasks.resilience.circuit_breaker import CircuitBreaker
from tasks.resilience.failure_rate import FailureRate
from tests.support.letters import lane_named


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def limit(clock: Clock, *, share: float = 0.5, least: int = 50, an_hour: int = 1_000) -> FailureRate:
    return FailureRate(share=share, least=least, an_hour=an_hour, clock=clock)


def tell(limit: FailureRate, outcomes: str) -> None:
    for outcome in outcomes:
        limit.record_outcome(dead=outcome == "x")


def test_less_than_fifty_requests_say_nothing(clock: Clock) -> None:
    one = limit(clock)
    tell(one, "x" * 49)
    assert one.passed() is None
    tell(one, "x")
    assert one.passed() == "50 of the last 50 requests became dead letters"


def test_half_is_not_more_than_half(clock: Clock) -> None:
    one = limit(clock)
    tell(one, "x." * 40)
    assert one.passed() is None
    tell(one, "xx")
    assert one.passed() is not None


def test_a_long_good_past_does_not_hide_a_bad_deploy(clock: Clock) -> None:
    one = limit(clock)
    tell(one, "." * 100_000)
    tell(one, "x" * 51)
    assert one.passed() is not None


def test_what_is_long_ago_is_forgotten(clock: Clock) -> None:
    one = limit(clock)
    tell(one, "x" * 49)
    clock.now += 601
    tell(one, "x" * 49)
    assert one.passed() is None


def test_a_thousand_an_hour_are_enough_however_many_succeed(clock: Clock) -> None:
    one = limit(clock)
    for _ in range(1_000):
        tell(one, "x..........")
        clock.now += 3.0
    assert one.passed() is None
    tell(one, "x")
    assert one.passed() == "more than 1000 dead letters within an hour"
    clock.now += 700
    assert one.passed() is None


def test_a_share_of_one_never_stops(clock: Clock) -> None:
    one = limit(clock, share=1.0)
    tell(one, "x" * 500)
    assert one.passed() is None


class Worker:
    """A watch, and what it does with its consumer."""

    def __init__(self, index: TableDeadLetterIndex | None, clock: Clock, name: str) -> None:
        self.consumes = True
        self.watch = CircuitBreaker(
            [lane_named("work")],
            {"work": limit(clock)},
            index,
            name=name,
            pause=self._set(False),
            resume=self._set(True),
            clock=clock,
        )

    def _set(self, consumes: bool):  # type: ignore[no-untyped-def]
        def act(lane: str) -> None:
            assert lane == "work"
            self.consumes = consumes

        return act

    def ends(self, outcomes: str) -> None:
        for outcome in outcomes:
            self.watch.record_outcome("work", dead=outcome == "x")


def dead(cause: Cause, lane: str = "work") -> DeadLetter:
    reason = Reason("AnError", "a sentence", 1, cause=cause, lane=lane)
    return DeadLetter("id", "body", {}, reason, 1, 0.0)


@pytest.mark.parametrize("cause", list(Cause))
def test_only_what_a_deployment_can_be_guilty_of_stops_a_lane(cause: Cause, clock: Clock) -> None:
    worker = Worker(None, clock, "w")
    for _ in range(60):
        worker.watch.count_dead_letter(dead(cause))
    guilty = {Cause.ATTEMPTS_USED_UP, Cause.LOST, Cause.UNKNOWN_TASK, Cause.REJECTED}
    assert worker.consumes is (cause not in guilty)
    assert worker.watch.dead_letters()["work"] == {str(each): 60 * (each is cause) for each in Cause}


@pytest.fixture
def index(tmp_path: Path) -> TableDeadLetterIndex:
    return TableDeadLetterIndex(
        SQLiteBackend(url=f"sqlite:///{tmp_path / 'r'}", app=Celery(set_as_current=False)).store
    )


def test_one_worker_stops_the_lane_for_all_until_it_is_resumed(index: TableDeadLetterIndex, clock: Clock) -> None:
    first, second = Worker(index, clock, "first"), Worker(index, clock, "second")
    clock.now += 5
    first.ends("x" * 50)
    assert not first.consumes
    assert second.consumes
    first.watch.round()
    second.watch.round()
    assert not second.consumes
    (stop,) = index.pauses()
    assert (stop.by, stop.why) == ("first", "50 of the last 50 requests became dead letters")
    clock.now += 5
    index.resume("work")
    first.watch.round()
    second.watch.round()
    assert first.consumes
    assert second.consumes
    first.ends("x")  # counts begin anew
    assert first.consumes


def test_a_restarted_worker_takes_the_lane_up_and_proves_it_for_the_others(
    index: TableDeadLetterIndex, clock: Clock
) -> None:
    old = Worker(index, clock, "old")
    clock.now += 5
    old.ends("x" * 50)
    old.watch.round()
    clock.now += 5
    new = Worker(index, clock, "new")
    new.watch.round()
    assert new.consumes
    new.ends("." * 49)
    new.watch.round()
    old.watch.round()
    assert not old.consumes
    new.ends(".")
    new.watch.round()
    old.watch.round()
    assert old.consumes
    assert index.pauses() == []


def test_a_restarted_worker_that_still_fails_stops_it_again(index: TableDeadLetterIndex, clock: Clock) -> None:
    index.pause(LanePause("work", clock.now - 60, "old", "why"))
    new = Worker(index, clock, "new")
    clock.now += 5
    new.ends("x" * 50)
    new.watch.round()
    assert not new.consumes
    assert index.pauses()[0].by == "new"


def test_without_a_store_each_worker_stops_by_itself(clock: Clock) -> None:
    alone = Worker(None, clock, "alone")
    alone.ends("x" * 50)
    alone.watch.round()
    assert not alone.consumes


def test_a_store_that_is_away_is_told_later(index: TableDeadLetterIndex, clock: Clock, tmp_path: Path) -> None:
    class Away(TableDeadLetterIndex):
        away = True

        def pause(self, pause: LanePause) -> None:
            if self.away:
                raise OSError("away")
            super().pause(pause)

    store = SQLiteBackend(url=f"sqlite:///{tmp_path / 'r'}", app=Celery(set_as_current=False)).store
    away = Away(store)
    worker = Worker(away, clock, "w")
    clock.now += 5
    worker.ends("x" * 50)
    with pytest.raises(OSError, match="away"):
        worker.watch.round()
    assert not worker.consumes
    away.away = False
    worker.watch.round()
    assert not worker.consumes
    assert [stop.by for stop in index.pauses()] == ["w"]
