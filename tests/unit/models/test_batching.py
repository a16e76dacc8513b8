"""The batching policy: who goes next, who goes along, and when a batch is worth sealing."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.scheduling.batching import PATIENCE_SECONDS, Joinable, Limits, Row, WaitingRows, split

WIDE = {"m": Limits(rows=4, tokens=1000, pass_tokens=1000), "n": Limits(rows=4, tokens=1000, pass_tokens=1000)}


def row(length: int = 10, *, at: float = 0.0, deadline: float = math.inf, model: str = "m", **more: bool) -> Row:
    return Row((model,), f"value of {length}", length, at, deadline, **more)


def lengths(rows: list[Row]) -> list[int]:
    return [one.length for one in rows]


def waiting(*rows: Row) -> WaitingRows:
    pending = WaitingRows()
    pending.add(rows)
    return pending


def test_the_oldest_is_the_anchor_and_nearest_lengths_join_it() -> None:
    pending = waiting(row(50, at=1), row(10, at=2), row(52, at=3), row(49, at=4), row(200, at=5), row(51, at=6))
    assert lengths(pending.seal(WIDE)) == [49, 50, 51, 52]
    assert lengths(pending.seal(WIDE)) == [10, 200]
    assert pending.seal(WIDE) == []


def test_a_near_deadline_goes_before_age() -> None:
    old, urgent = row(10, at=0), row(500, at=5, deadline=7)
    pending = waiting(old, urgent)
    assert pending.seal({"m": Limits(1, 1000, 0)}) == [urgent]


def test_age_wins_in_the_end_over_deadlines_far_away() -> None:
    old = row(10, at=0)
    pending = waiting(old, row(10, at=1, deadline=PATIENCE_SECONDS + 5))
    assert pending.seal({"m": Limits(1, 1000, 0)}) == [old]


def test_models_take_turns_by_waiting_time() -> None:
    pending = waiting(row(at=1, model="n"), row(at=2), row(at=3, model="n"))
    assert [{r.model for r in pending.seal(WIDE)} for _ in range(2)] == [{"n"}, {"m"}]


def test_rows_share_a_pass_only_within_their_group() -> None:
    short, long = Row(("m", "40 tokens"), "a", 10, 0.0), Row(("m", "80 tokens"), "b", 10, 1.0)
    pending = waiting(short, long)
    assert pending.seal(WIDE) == [short]
    assert pending.seal(WIDE) == [long]


def test_the_token_budget_counts_padding() -> None:
    pending = waiting(*(row(100, at=i) for i in range(5)))
    assert len(pending.seal({"m": Limits(rows=16, tokens=300, pass_tokens=1000)})) == 3


def test_a_row_over_the_budget_still_runs_by_itself() -> None:
    pending = waiting(row(5000))
    assert lengths(pending.seal(WIDE)) == [5000]


def test_padding_that_costs_more_than_a_pass_is_not_paid() -> None:
    pending = waiting(row(10, at=0), row(200, at=1))
    assert lengths(pending.seal({"m": Limits(16, 1000, pass_tokens=32)})) == [10]


def test_a_busy_device_leaves_a_batch_open_that_others_may_join() -> None:
    pending = waiting(row(at=0), row(at=1), row(at=2))
    assert pending.seal(WIDE, full_only=True) == []
    pending.add([row(at=3)])
    assert len(pending.seal(WIDE, full_only=True)) == 4


def test_a_suspect_runs_alone_and_after_others() -> None:
    suspect = row(at=0, alone=True)
    pending = waiting(suspect, row(at=1), row(at=2))
    assert len(pending.seal(WIDE)) == 2
    assert pending.seal(WIDE) == [suspect]


def test_a_suspect_stays_where_it_may_not_go() -> None:
    suspect, fine = row(at=0, alone=True), row(at=1)
    pending = waiting(suspect, fine)
    assert pending.seal(WIDE, suspects=False) == [fine]
    assert pending.seal(WIDE, suspects=False) == []
    assert list(pending) == [suspect]


def test_a_suspect_whose_turn_it_is_waits_for_an_idle_device_and_others_wait_behind_it() -> None:
    suspect = row(at=0, alone=True)
    pending = waiting(suspect, *(row(at=100 + number) for number in range(20)))
    assert pending.seal(WIDE, full_only=True) == []
    assert pending.seal(WIDE) == [suspect]
    assert pending.seal(WIDE, full_only=True)


def test_a_suspect_is_left_to_another_device() -> None:
    suspect, fine = row(at=0, alone=True), row(at=1000)
    pending = waiting(suspect, fine)
    assert pending.seal(WIDE, not_here=lambda one: one is suspect) == [fine]
    assert pending.seal(WIDE, not_here=lambda one: one is suspect) == []
    assert pending.seal(WIDE) == [suspect]


def test_a_suspect_is_not_put_off_for_ever() -> None:
    suspect = row(at=0, alone=True)
    pending = waiting(suspect, row(at=1000))
    assert pending.seal(WIDE) == [suspect]


def test_rows_are_removed_and_those_that_are_gone_too() -> None:
    late, fine = row(deadline=5), row(deadline=15)
    pending = waiting(late, fine)
    pending.remove([late, late])
    assert list(pending) == [fine]


def test_padding_is_small_when_there_is_something_to_choose_from() -> None:
    """128 held of texts with 5 to 200 words: padded over real tokens stays under 1.15."""
    random_lengths = random.Random(7)
    limits = {"m": Limits(rows=16, tokens=8192, pass_tokens=32)}
    pending, real, padded = WaitingRows(), 0, 0
    for number in range(4000):
        pending.add([row(random_lengths.randint(8, 270), at=number / 100)])
        if len(pending) == 128:
            batch = lengths(pending.seal(limits))
            real += sum(batch)
            padded += max(batch) * len(batch)
    assert padded / real < 1.15


rows = st.builds(
    row,
    length=st.integers(1, 400),
    at=st.floats(0, 100),
    deadline=st.floats(0, 200),
    model=st.sampled_from("mn"),
    alone=st.booleans(),
)


@given(st.lists(rows, max_size=40))
def test_every_row_goes_out_once_within_the_limits(given_rows: list[Row]) -> None:
    limits = {"m": Limits(4, 600, 50), "n": Limits(8, 900, 0)}
    pending = waiting(*given_rows)
    out: list[Row] = []
    while batch := pending.seal(limits):
        bound = limits[batch[0].model]
        assert len({r.group for r in batch}) == 1
        assert len(batch) <= bound.rows
        assert len(batch) == 1 or len(batch) * max(lengths(batch)) <= bound.tokens
        assert len(batch) == 1 or not any(r.alone for r in batch)
        out += batch
    assert sorted(map(id, out)) == sorted(map(id, given_rows))
    assert len(pending) == 0


@given(st.lists(st.integers(1, 500), max_size=60))
def test_what_turned_out_longer_is_split_and_nothing_is_lost(given_lengths: list[int]) -> None:
    passes = split(given_lengths, Limits(rows=8, tokens=1000, pass_tokens=0))
    assert sorted(index for one in passes for index in one) == list(range(len(given_lengths)))
    for one in passes:
        assert len(one) <= 8
        assert len(one) == 1 or len(one) * max(given_lengths[i] for i in one) <= 1000


@pytest.mark.parametrize("count", [1000])
def test_the_anchor_is_found_among_many_groups(count: int) -> None:
    pending = waiting(*(Row(("m", str(i)), "v", 5, float(count - i)) for i in range(count)))
    assert pending.seal(WIDE)[0].group == ("m", str(count - 1))


def joiner(length: int, at: float, **more: bool) -> Row:
    return row(length, at=at, may_join=True, **more)


def test_rows_join_what_runs_most_urgent_first_as_long_as_there_is_room() -> None:
    pending = waiting(joiner(300, 1), joiner(10, 2), joiner(200, 3), joiner(20, 4))
    running = Joinable(("m",), rows=1, tokens=400, longest=400)
    assert (
        pending.seal(WIDE, full_only=True, running=Joinable(("m",), 1, 900, 400)) == []
    )  # the oldest is not overtaken
    assert lengths(pending.seal(WIDE, full_only=True, running=running)) == [10, 200, 300]  # four rows at most
    assert lengths(pending.seal(WIDE)) == [20]


def test_padding_is_no_cost_to_rows_that_join() -> None:
    pending = waiting(joiner(10, 1), joiner(900, 2))
    assert lengths(pending.seal({"m": Limits(16, 1000, pass_tokens=0)})) == [10, 900]


def test_nothing_joins_while_somebody_more_urgent_waits_for_another_turn() -> None:
    pending = waiting(joiner(10, 2), row(10, at=1, model="n"))
    running = Joinable(("m",), 1, 10, 10)
    assert pending.seal(WIDE, full_only=True, running=running) == []
    assert pending.seal(WIDE, full_only=True, running=running, joining_only=True) == []
    assert [one.model for one in pending.seal(WIDE)] == ["n"]
    assert len(pending.seal(WIDE, full_only=True, running=running, joining_only=True)) == 1


def test_a_suspect_does_not_join() -> None:
    pending = waiting(joiner(10, 1, alone=True), joiner(10, 100))
    assert not pending.seal(WIDE, suspects=True)[0].joins
    assert pending.seal(WIDE)[0].joins


def test_only_equal_lengths_share_a_batch_where_padding_changes_results() -> None:
    pending = waiting(row(10, at=1), row(11, at=2), row(10, at=3), row(11, at=4))
    equal = {"m": Limits(4, 1000, 1000, equal=True)}
    assert [lengths(pending.seal(equal)) for _ in range(2)] == [[10, 10], [11, 11]]
