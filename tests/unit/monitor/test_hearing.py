"""What pages made of events say of their age."""

import pytest

from monitor.hearing import STALE_AFTER_SECONDS, Hearing


def test_nothing_is_said_while_sqs_answers() -> None:
    for age_seconds in (0.0, STALE_AFTER_SECONDS):
        hearing = Hearing(age_seconds, "")
        assert (hearing.stale, hearing.said) == (False, "")


@pytest.mark.parametrize(
    ("hearing", "said"),
    [
        (Hearing(STALE_AFTER_SECONDS + 5, ""), "SQS cannot be read: what is shown is 40 s old"),
        (Hearing(7.0, "ReceiveMessage: away"), "SQS cannot be read: what is shown is 7 s old"),
        (Hearing(None, "CreateQueue: away"), "SQS has not answered yet"),
        (Hearing(None, ""), "SQS has not answered yet"),
    ],
)
def test_a_fault_or_a_silence_is_told_with_its_age(hearing: Hearing, said: str) -> None:
    assert hearing.stale
    assert hearing.said.startswith(said)
    assert hearing.as_json() == {
        "age_seconds": hearing.age_seconds,
        "failure": hearing.failure,
        "stale": True,
        "said": hearing.said,
    }
