"""How long a message is left to newer workers."""

import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from celery_inference.sqs.consumer.deliveries import HELD
from celery_inference.sqs.consumer.redelivery import FIRST_SECONDS, JITTER, MOST_SECONDS, fresh, seconds_until_known
from celery_inference.sqs.messages.delivery import Delivery, from_answer
from celery_inference.sqs.messages.reason import REASON_ATTRIBUTE, Mark, mark_of
from tests.support.lanes import INFERENCE

WINDOW = 1_800.0


@pytest.fixture
def held() -> Iterator[list[Delivery]]:
    deliveries: list[Delivery] = []
    yield deliveries
    for delivery in deliveries:
        HELD.remove(delivery)


def delivered(
    held: list[Delivery], age_seconds: float, *, count: int = 1, queue: str = INFERENCE.name, mark: Mark | None = None
) -> str:
    answer: dict[str, Any] = {
        "MessageId": "m",
        "Attributes": {
            "SentTimestamp": str(int((time.time() - age_seconds) * 1000)),
            "ApproximateReceiveCount": str(count),
        },
        "MessageAttributes": {} if mark is None else {REASON_ATTRIBUTE: mark.attribute()},
    }
    delivery = from_answer(answer, queue, "http://q", time.monotonic() + 30)
    HELD.add(delivery)
    held.append(delivery)
    return delivery.tag


def test_it_comes_again_soon_and_then_ever_more_rarely(held: list[Delivery]) -> None:
    ages, age = [], 0.0
    while (seconds := seconds_until_known(delivered(held, age), WINDOW)) is not None:
        age += seconds
        ages.append(age)
    assert ages[0] <= FIRST_SECONDS * (1 + JITTER) + 1
    assert 8 <= len(ages) <= 20
    assert max(later - earlier for earlier, later in pairwise(ages)) <= MOST_SECONDS * (1 + JITTER) + 1
    assert WINDOW <= ages[-1] <= WINDOW + 2


def test_backoff_grows_over_all_copies_of_a_message(held: list[Delivery]) -> None:
    delivered(held, 1.0, count=4)
    first = held[-1]
    for copies in range(1, 4):
        attributes = fresh(first, 1.0)["MessageAttributes"]
        delivered(held, 1.0, count=4, mark=mark_of(attributes))
        first = held[-1]
        assert first.tries == 4 * (copies + 1)
    delivered(held, 1.0, count=2, mark=Mark(1, returns=3))  # as an earlier version marked it
    assert held[-1].tries == 2


def test_a_copy_has_the_window_of_its_original(held: list[Delivery]) -> None:
    copy = Mark(0, returns=3, first_sent_at=time.time() - WINDOW - 1)
    assert seconds_until_known(delivered(held, 1.0, mark=copy), WINDOW) is None
    assert seconds_until_known(delivered(held, 1.0, mark=Mark(0, returns=3)), WINDOW) is not None


def test_a_new_generation_has_a_window_of_its_own(held: list[Delivery]) -> None:
    letter = {REASON_ATTRIBUTE: {"StringValue": '{"error_type": "UnknownTask", "first_sent_at": 5.0, "generation": 2}'}}
    assert mark_of(letter) == Mark(3)


def test_on_a_fifo_queue_the_receives_last_to_the_end_of_the_window(held: list[Delivery]) -> None:
    left = seconds_until_known(delivered(held, 0.0, queue="a.fifo"), WINDOW)
    assert left is not None
    assert WINDOW - 60 < left <= WINDOW
    assert seconds_until_known(delivered(held, 10.0, count=2, queue="a.fifo"), WINDOW) is None


def test_without_a_window_nothing_is_left_to_others(held: list[Delivery]) -> None:
    assert seconds_until_known(delivered(held, 0.5), 0.0) is None
    assert seconds_until_known("not held", WINDOW) is None
