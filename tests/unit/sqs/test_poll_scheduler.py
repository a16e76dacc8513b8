"""The polling policy with a clock of its own."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celery_inference.sqs.consumer.poll_scheduler import Poll, PollScheduler


def polling(*queues: str, gather_seconds: float = 0.01, max_polls: int = 8) -> PollScheduler:
    policy = PollScheduler(wait_seconds=10, gather_seconds=gather_seconds, max_polls=max_polls)
    for queue in queues:
        policy.add(queue)
    return policy


def take(policy: PollScheduler, now: float, free: int, limit: int) -> Poll:
    poll = policy.next(now, free, limit)
    assert isinstance(poll, Poll)
    return poll


def came_back(policy: PollScheduler, poll: Poll, received: int, now: float = 0.0, limit: int = 32) -> None:
    policy.done(poll, received, now, limit)


def test_an_idle_queue_has_one_long_poll_for_ten() -> None:
    policy = polling("a")
    assert take(policy, 0.0, 32, 32) == Poll("a", 10, 10)
    assert policy.next(0.0, 32, 32) is None


def test_a_full_receive_brings_a_second_poll_at_the_same_time() -> None:
    policy = polling("a")
    came_back(policy, take(policy, 0.0, 32, 32), 10)
    take(policy, 0.0, 22, 32)
    assert take(policy, 0.0, 22, 32).max_messages == 10
    assert policy.next(0.0, 22, 32) is None


def test_no_free_slot_no_poll() -> None:
    policy = polling("a")
    assert policy.next(0.0, 0, 4) is None


def test_a_busy_queue_waits_for_ten_slots_but_only_for_milliseconds() -> None:
    policy = polling("a", gather_seconds=0.01)
    came_back(policy, take(policy, 0.0, 10, 10), 10)
    assert policy.next(1.0, 0, 10) is None
    wait = policy.next(2.0, 1, 10)
    assert isinstance(wait, float)
    assert 0 < wait <= 0.01
    assert take(policy, 2.011, 4, 10).max_messages == 4


def test_ten_slots_are_not_waited_with() -> None:
    policy = polling("a")
    came_back(policy, take(policy, 0.0, 20, 20), 10)
    assert take(policy, 0.0, 10, 20).max_messages == 10


def test_with_fewer_slots_than_queues_polls_are_short_and_take_turns() -> None:
    policy = polling("a", "b", "c")
    seen = []
    for turn in range(6):
        poll = take(policy, float(turn), 1, 1)
        assert (poll.max_messages, poll.wait_seconds) == (1, 1)
        assert policy.next(float(turn), 1, 1) is None
        seen.append(poll.queue)
        came_back(policy, poll, 0, float(turn), 1)
    assert Counter(seen) == {"a": 2, "b": 2, "c": 2}


def test_a_scarce_slot_does_not_sit_on_an_empty_queue_beside_a_full_one() -> None:
    policy = polling("empty", "full", gather_seconds=0.0)
    polls = []
    for turn in range(100):
        poll = take(policy, turn * 0.01, 1, 1)
        polls.append(poll)
        came_back(policy, poll, 1 if poll.queue == "full" else 0, turn * 0.01, 1)
    looks = [poll for poll in polls if poll.queue == "empty"]
    assert {poll.wait_seconds for poll in looks[1:]} == {0}
    assert 4 <= len(looks) <= 7  # five a second, whatever the speed of the other


def test_every_queue_is_asked_though_one_could_take_all_slots() -> None:
    policy = polling("a", "b")
    came_back(policy, take(policy, 0.0, 10, 10), 5)
    first, second = take(policy, 0.0, 10, 10), take(policy, 0.0, 10, 10)
    assert {first.queue, second.queue} == {"a", "b"}


def test_a_second_poll_of_a_busy_queue_leaves_the_other_s_slot_alone() -> None:
    policy = polling("a", "b", gather_seconds=0.0)
    for _ in range(3):
        first, second = take(policy, 0.0, 2, 2), take(policy, 0.0, 2, 2)
        assert {first.queue, second.queue} == {"a", "b"}
        came_back(policy, first, 1 if first.queue == "a" else 0)
        came_back(policy, second, 1 if second.queue == "a" else 0)


def test_slots_beyond_a_queue_s_share_are_not_lent_for_a_long_poll() -> None:
    policy = polling("a", "b")
    for _ in range(2):
        poll = take(policy, 0.0, 8, 8)
        came_back(policy, poll, poll.max_messages if poll.queue == "a" else 0)
    polls = {poll.queue: poll for poll in (take(policy, 1.0, 8, 8), take(policy, 1.0, 8, 8))}
    assert polls["b"].wait_seconds == 10
    assert polls["b"].max_messages <= 4
    assert polls["a"].wait_seconds == (1 if polls["a"].max_messages > 4 else 10)


def shares(weights: dict[str, float], limit: int, receives: int, work_seconds: float = 1.0) -> Counter[str]:
    """How many messages of each queue are taken, when all are full and each takes its slot for a second."""
    policy = PollScheduler(wait_seconds=10, gather_seconds=0.01, max_polls=8)
    for name, weight in weights.items():
        policy.add(name, weight)
    got: Counter[str] = Counter()
    rand, now, free = random.Random(3), 0.0, limit
    ending: list[float] = []
    for _ in range(receives):
        while not isinstance(poll := policy.next(now, free, limit), Poll):
            now = min([now + max(poll, 0.001), *ending] if isinstance(poll, float) else ending)
            free += sum(1 for end in ending if end <= now)
            ending = [end for end in ending if end > now]
        got[poll.queue] += poll.max_messages
        free -= poll.max_messages
        ending += [now + work_seconds * rand.uniform(0.5, 1.5) for _ in range(poll.max_messages)]
        policy.done(poll, poll.max_messages, now, limit)
    return got


@pytest.mark.parametrize("limit", [1, 2, 3, 10, 32])
def test_weights_hold_with_few_slots_and_with_many_and_starve_nobody(limit: int) -> None:
    got = shares({"interactive": 16.0, "inference": 4.0, "bulk": 1.0}, limit, 2_000)
    assert got["bulk"] > 0
    assert 3.0 < got["interactive"] / got["inference"] < 5.0
    assert 3.0 < got["inference"] / got["bulk"] < 5.0


def test_queues_of_one_weight_share_alike() -> None:
    got = shares({"a": 1.0, "b": 1.0, "c": 1.0}, 4, 1_000)
    assert max(got.values()) - min(got.values()) <= 20


def test_a_queue_that_was_idle_for_long_has_no_credit_and_no_debt() -> None:
    policy = polling("a", "b", gather_seconds=0.0)
    now = 0.0
    for turn in range(200):
        poll = take(policy, now, 1, 1)
        came_back(policy, poll, 1 if poll.queue == "ab"[turn // 100] else 0, now, 1)
        now += 1.0
    got: Counter[str] = Counter()
    for _ in range(40):
        poll = take(policy, now, 1, 1)
        got[poll.queue] += 1
        came_back(policy, poll, 1, now, 1)
        now += 1.0
    assert 15 <= got["a"] <= 25


def test_listening_at_idle_queues_leaves_the_slots_to_a_burst_at_one() -> None:
    policy = polling("a", "b", "c", gather_seconds=0.0)
    polls = {poll.queue: poll for poll in (take(policy, 0.0, 32, 32) for _ in range(3))}
    assert sum(poll.max_messages for poll in polls.values()) <= 32 // 8
    assert {poll.wait_seconds for poll in polls.values()} == {10}
    came_back(policy, polls["a"], polls["a"].max_messages)
    assert take(policy, 0.0, 31, 32) == Poll("a", 10, 10)


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
    came_back(policy, poll, 3)
    assert policy.asked == 0
    assert policy.next(0.0, 10, 10) is None


@settings(max_examples=50)
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
                came_back(policy, poll, received, now, limit)
        held -= rand.randint(0, held)


@settings(max_examples=100)
@given(st.integers(1, 20), st.integers(1, 5))
def test_with_slots_free_every_queue_is_polled_in_the_end(limit: int, queues: int) -> None:
    names = {f"q{number}" for number in range(queues)}
    policy = polling(*sorted(names), gather_seconds=0.0)
    seen: set[str] = set()
    for turn in range(4 * queues):
        while isinstance(poll := policy.next(float(turn), limit, limit), Poll):
            seen.add(poll.queue)
            came_back(policy, poll, 0)
            if seen == names:
                return
    raise AssertionError(f"never asked: {names - seen}")
