"""Bounds of the oldest message's age hold, whatever a queue does."""

import random

from hypothesis import given
from hypothesis import strategies as st

from monitor.queues.oldest_age import AgeEstimate, OldestAge, span_of_age
from monitor.queues.sample import Sample


def standing(*readings: tuple[float, int, int], held: float | None = None, all_report: bool = True) -> AgeEstimate:
    one = AgeEstimate()
    for at, visible, in_flight in readings:
        one.add(Sample(at, visible, in_flight, 0), held, all_report=all_report)
    return one


def test_a_queue_that_nobody_takes_from_is_known_to_a_reading() -> None:
    assert standing((0, 0, 0), (5, 3, 0), (10, 3, 0), (305, 9, 0)).age() == OldestAge(300, 305)


def test_an_empty_queue_has_no_old_messages() -> None:
    assert standing((0, 9, 0), (5, 0, 0), held=400.0).age() == OldestAge(0, 0)


def test_what_workers_hold_bounds_it_from_below() -> None:
    readings = (0, 0, 0), (5, 3, 1), (10, 2, 1), (60, 3, 1)
    assert standing(*readings).age() == OldestAge(0, 60)
    assert standing(*readings, held=40.0).age() == OldestAge(40, 60)
    assert standing(*readings, held=4_000.0).age() == OldestAge(60, 60), "it was of before the queue was empty"


def test_a_depth_that_stands_still_says_nothing_while_workers_take_messages_or_would_not_tell() -> None:
    readings = (0, 0, 0), (5, 3, 0), (10, 3, 0), (305, 3, 0)
    assert standing(*readings, held=2.0).age() == OldestAge(0, 305)
    assert standing(*readings, all_report=False).age() == OldestAge(0, 305)


def test_a_queue_that_was_never_seen_empty_is_bounded_from_below_alone() -> None:
    assert standing((0, 3, 0), (100, 3, 0)).age() == OldestAge(100, None)
    assert AgeEstimate().age() is None


@given(st.integers(0, 10_000))
def test_the_bounds_hold_for_a_queue_that_is_played_through(seed: int) -> None:
    """Messages arrive, are leased, come back and end; each reading is true."""
    chance = random.Random(seed)
    one, waiting, leased, taken = AgeEstimate(), [], [], False
    for second in range(200):
        for _ in range(chance.choice((0, 0, 1, 2))):
            waiting.append(second)
        if waiting and chance.random() < 0.4:
            message = waiting.pop(chance.randrange(len(waiting)))
            taken = True
            leased.append(message)
        if leased and chance.random() < 0.4:
            message = leased.pop()
            if chance.random() < 0.2:
                waiting.append(message)
        if second % 5:
            continue
        held = max((second - message for message in leased), default=0.0 if taken else None)
        one.add(Sample(second, len(waiting), len(leased), 0), held)
        taken, age = False, one.age()
        assert age is not None
        oldest = max((second - message for message in [*waiting, *leased]), default=0)
        assert age.at_least <= oldest <= (age.at_most if age.at_most is not None else oldest)


def test_words_say_no_more_than_is_known() -> None:
    said = [OldestAge(0, 0), OldestAge(300, 305), OldestAge(100, None), OldestAge(0, None), OldestAge(60, 600)]
    assert [span_of_age(age) for age in said] == [None, "about 5 min", "over 2 min", None, "60 s to 10 min"]
    assert span_of_age(OldestAge(0, 600)) == "up to 10 min"
    assert span_of_age(None) is None
