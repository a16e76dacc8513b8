"""A lease counts from the ReceiveMessage call that brought it: what comes past it is another worker's by then."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from celery_inference.sqs.consumer import receiver as module
from celery_inference.sqs.consumer.leases import received_lease_end
from celery_inference.sqs.consumer.poll_scheduler import Poll
from celery_inference.sqs.consumer.receiver import Receiver
from celery_inference.sqs.options import TransportOptions

ANSWER = {"Messages": [{"MessageId": "m", "ReceiptHandle": "r", "Body": "b"}]}


@pytest.mark.parametrize(("late_seconds", "expected"), [(0, 1), (25, 1), (31, 0)])
def test_an_answer_that_waited_for_a_paused_process_is_dropped(
    monkeypatch: pytest.MonkeyPatch, late_seconds: int, expected: int
) -> None:
    clients: Any = SimpleNamespace(call=lambda operation, queue, function, **parameters: ANSWER)
    given: dict[str, Any] = dict.fromkeys(("accept", "backlog", "give_up", "resolve"))
    receiver = Receiver(clients, TransportOptions(lease_seconds=30), **given)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: time.monotonic() - late_seconds))
    received = receiver.receive(SimpleNamespace(receive_message=None), "url", Poll("q", 1, 10))
    assert len(received) == expected
    assert all(delivery.holds() for delivery in received)


def test_a_poll_may_be_longer_than_a_short_lease() -> None:
    now = time.monotonic()
    assert received_lease_end(30, 10, now - 10) == pytest.approx(now + 19, abs=1)
    assert received_lease_end(2, 10, now - 10) > now + 1
    assert received_lease_end(2, 10, now) < now + 2
