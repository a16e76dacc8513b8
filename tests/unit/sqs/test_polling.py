"""The polling policy with a clock of its own."""

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from sqs.polling import Poll, Polling


def polling(*queues: str, gather_seconds: float = 0.01, max_polls: int = 8) -> Polling:
    policy = Polling(wait_seconds=10, gather_seconds=gather_seconds, max_polls=max_polls)
    for queue in queues:
        policy.add(queue)
    return policy


def take(policy: Polling, now: float, free: int, limit: int) -> Poll:
    poll = policy.next(now, free, limit)
    assert isinstance(poll, Poll)
    return poll


def test_an_idle_queue_has_one_long_poll_for_ten() -> None:
    policy = polling("a")
    assert take(policy, 0.0, 32, 32) == Poll("a", 10, 10)
    assert policy.next(0.0, 32, 32) is None


def test_a_full_receive_brings_a_second_poll_at_the_same_time() -> None:
    policy = polling("a")
    policy.done(take(policy, 0.0, 32, 32), 10)
    take(policy, 0.0, 22, 32)
    assert take(policy, 0.0, 22, 32).max_messages == 10
    assert policy.next(0.0, 22, 32) is None


def test_no_free_slot_no_poll() -> None:
    policy = polling("a")
    assert policy.next(0.0, 0, 4) is None


def test_a_busy_queue_waits_for_ten_slots_but_only_for_milliseconds() -> None:
    policy = polling("a", gather_seconds=0.01)
    policy.done(take(policy, 0.0, 10, 10), 10)
    assert policy.next(1.0, 0, 10) is None
    wait = policy.next(2.0, 1, 10)
    assert isinstance(wait, float)
    assert 0 < wait <= 0.01
    assert take(policy, 2.011, 4, 10).max_messages == 4


def test_ten_slots_are_not_waited_with() -> None:
    policy = polling("a")
    policy.done(take(policy, 0.0, 20, 20), 10)
    assert take(policy, 0.0, 10, 20).max_messages == 10


def test_with_fewer_slots_than_queues_polls_are_short_and_take_turns() -> None:
    policy = polling("a", "b", "c")
    seen = []
    for turn in range(6):
        poll = take(policy, float(turn), 1, 1)
        assert (poll.max_messages, poll.wait_seconds) == (1, 1)
        assert policy.next(float(turn), 1, 1) is None
        seen.append(poll.queue)
        policy.done(poll, 0)
    assert Counter(seen) == {"a": 2, "b": 2, "c": 2}


def test_a_scarce_slot_does_not_sit_on_an_empty_queue_beside_a_full_one() -> None:
    policy = polling("empty", "full")
    waits = []
    for turn in range(10):
        poll = take(policy, float(turn), 1, 1)
        if poll.queue == "empty":
            waits.append(poll.wait_seconds)
        policy.done(poll, 1 if poll.queue == "full" else 0)
    assert waits[1:] == [0] * len(waits[1:])


def test_every_queue_is_asked_though_one_could_take_all_slots() -> None:
    policy = polling("a", "b")
    policy.done(take(policy, 0.0, 10, 10), 5)
    first, second = take(policy, 0.0, 10, 10), take(policy, 0.0, 10, 10)
    assert {first.queue, second.queue} == {"a", "b"}


def test_a_second_poll_of_a_busy_queue_leaves_the_other_s_slot_alone() -> None:
    policy = polling("a", "b", gather_seconds=0.0)
    for _ in range(3):
        first, second = take(policy, 0.0, 2, 2), take(policy, 0.0, 2, 2)
        assert {first.queue, second.queue} == {"a", "b"}
        policy.done(first, 1 if first.queue == "a" else 0)
        policy.done(second, 1 if second.queue == "a" else 0)


def test_slots_beyond_a_queue_s_share_are_not_lent_for_a_long_poll() -> None:
    policy = polling("a", "b")
    for _ in range(2):
        poll = take(policy, 0.0, 8, 8)
        policy.done(poll, poll.max_messages if poll.queue == "a" else 0)
    polls = {poll.queue: poll for poll in (take(policy, 1.0, 8, 8), take(policy, 1.0, 8, 8))}
    assert polls["b"].wait_seconds == 10
    assert polls["b"].max_messages <= 4
    assert polls["a"].wait_seconds == (1 if polls["a"].max_messages > 4 else 10)


def test_weights_share_a_scarce_worker_and_starve_nobody() -> None:
    policy = Polling(wait_seconds=10, gather_seconds=0.0, max_polls=8)
    policy.add("interactive", weight=4.0)
    policy.add("bulk", weight=1.0)
    got: Counter[str] = Counter()
    now = 0.0
    for _ in range(500):
        poll = take(policy, now, 1, 1)
        got[poll.queue] += 1
        policy.done(poll, 1)
        now += 0.1
    assert 3.0 < got["interactive"] / got["bulk"] < 5.0


def test_a_queue_that_was_idle_for_long_has_no_credit() -> None:
    policy = polling("a", "b", gather_seconds=0.0)
    for turn in range(100):
        poll = take(policy, float(turn), 1, 1)
        policy.done(poll, 1 if poll.queue == "a" else 0)
    got: Counter[str] = Counter()
    for turn in range(100, 140):
        poll = take(policy, float(turn), 1, 1)
        got[poll.queue] += 1
        policy.done(poll, 1)
    assert 15 <= got["a"] <= 25


def test_a_failing_queue_is_left_alone_for_a_while_and_its_neighbour_not() -> None:
    policy = polling("a", "b")
    poll = take(policy, 0.0, 10, 10)
    policy.failed(poll, 0.0)
    assert take(policy, 0.0, 10, 10).queue != poll.queue
    wait = policy.next(0.0, 10, 10)
    assert isinstance(wait, float)
    assert take(policy, 0.0 + wait, 10, 10).queue == poll.queue


def test_a_removed_queue_s_late_answer_gives_its_slots_back() -> None:
    policy = polling("a")
    poll = take(policy, 0.0, 10, 10)
    policy.remove("a")
    policy.done(poll, 3)
    assert policy.asked == 0
    assert policy.next(0.0, 10, 10) is None


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(1, 6), st.randoms(use_true_random=False))
def test_polls_never_ask_for_more_than_the_free_slots(limit: int, queues: int, rand: random.Random) -> None:
    policy = polling(*(f"q{number}" for number in range(queues)))
    held, now = 0, 0.0
    polls: list[Poll] = []
    for _ in range(100):
        now += rand.random() * 0.02
        answer = policy.next(now, limit - held, limit)
        if isinstance(answer, Poll):
            polls.append(answer)
            assert 1 <= answer.max_messages <= 10
        assert sum(poll.max_messages for poll in polls) == policy.asked <= limit - held
        if polls and rand.random() < 0.5:
            poll = polls.pop(rand.randrange(len(polls)))
            if rand.random() < 0.1:
                policy.failed(poll, now)
            else:
                received = rand.randint(0, poll.max_messages)
                held += received
                policy.done(poll, received)
        held -= rand.randint(0, held)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 20), st.integers(1, 5))
def test_with_slots_free_every_queue_is_polled_in_the_end(limit: int, queues: int) -> None:
    names = {f"q{number}" for number in range(queues)}
    policy = polling(*sorted(names), gather_seconds=0.0)
    seen: set[str] = set()
    for turn in range(4 * queues):
        while isinstance(poll := policy.next(float(turn), limit, limit), Poll):
            seen.add(poll.queue)
            policy.done(poll, 0)
            if seen == names:
                return
    raise AssertionError(f"never asked: {names - seen}")
