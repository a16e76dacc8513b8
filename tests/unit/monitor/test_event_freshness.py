"""What pages made of events say of their age."""

import pytest

from monitor.workers.event_freshness import STALE_AFTER_SECONDS, EventFreshness


def test_nothing_is_said_while_sqs_answers() -> None:
    for age_seconds in (0.0, STALE_AFTER_SECONDS):
        freshness = EventFreshness(age_seconds, "")
        assert (freshness.stale, freshness.said) == (False, "")


@pytest.mark.parametrize(
    ("freshness", "said"),
    [
        (EventFreshness(STALE_AFTER_SECONDS + 5, ""), "SQS cannot be read: what is shown is 40 s old"),
        (EventFreshness(7.0, "ReceiveMessage: away"), "SQS cannot be read: what is shown is 7 s old"),
        (EventFreshness(None, "CreateQueue: away"), "SQS has not answered yet"),
        (EventFreshness(None, ""), "SQS has not answered yet"),
    ],
)
def test_a_fault_or_a_silence_is_told_with_its_age(freshness: EventFreshness, said: str) -> None:
    assert freshness.stale
    assert freshness.said.startswith(said)
    assert freshness.as_json() == {
        "age_seconds": freshness.age_seconds,
        "failure": freshness.failure,
        "stale": True,
        "said": freshness.said,
    }
