"""Bulk sends against an SQS that is scripted, because a real one cannot be made to wait for a second call."""

import threading
from typing import Any

from celery_inference.sqs.api.clients import SqsClients, SqsEndpoint
from celery_inference.sqs.errors import UnavailableError
from celery_inference.sqs.lanes import DeclaredQueue, Lane
from celery_inference.sqs.messages.size import inline_limit_bytes
from celery_inference.sqs.producer.bulk_send import CALLS_AT_ONCE, batches, send_many
from celery_inference.sqs.producer.sender import Sender

LARGEST = 1_048_576


class Meeting:
    """A client whose bulk sends answer only when as many are under way as may be at once."""

    def __init__(self, parties: int) -> None:
        self.barrier = threading.Barrier(parties, timeout=20)
        self.sent: list[list[str]] = []

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        self.barrier.wait()
        self.sent.append([entry["MessageBody"] for entry in Entries])
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries]}


class MeetingAccount(SqsClients):
    def __init__(self, meeting: Meeting) -> None:
        super().__init__(SqsEndpoint())
        self.meeting = meeting

    @property
    def client(self) -> Any:
        return self.meeting


def bodies(count: int) -> list[dict[str, Any]]:
    return [{"MessageBody": f"m{number:03}"} for number in range(count)]


def test_several_calls_are_under_way_at_once() -> None:
    meeting = Meeting(CALLS_AT_ONCE)
    sender = Sender(MeetingAccount(meeting), "work", "url", None)
    assert send_many(sender, bodies(10 * 2 * CALLS_AT_ONCE)) == []
    assert sorted(len(part) for part in meeting.sent) == [10] * 2 * CALLS_AT_ONCE


def test_a_fifo_queue_gets_one_call_after_the_other() -> None:
    meeting = Meeting(1)
    sender = Sender(MeetingAccount(meeting), "work.fifo", "url", None)
    assert send_many(sender, bodies(35)) == []
    assert [body for part in meeting.sent for body in part] == [each["MessageBody"] for each in bodies(35)]


def test_what_an_answer_does_not_mention_was_not_accepted() -> None:
    class Forgetful(Meeting):
        def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
            return {"Successful": [{"Id": entry["Id"]} for entry in Entries[1:]]}

    failures = send_many(Sender(MeetingAccount(Forgetful(1)), "work", "url", None), bodies(3))
    assert [failure.index for failure in failures] == [0, 1, 2]
    assert all(isinstance(failure.error, UnavailableError) for failure in failures)


def test_a_call_carries_ten_messages_or_a_mebibyte() -> None:
    assert [len(group) for group in batches(bodies(25))] == [10, 10, 5]
    halves = [{"MessageBody": "x" * (LARGEST // 2)} for _ in range(5)]
    assert [len(group) for group in batches(halves)] == [2, 2, 1]


def test_what_may_be_sent_leaves_room_for_a_reason_beside_it() -> None:
    usual = Lane(DeclaredQueue("usual"), DeclaredQueue("usual-dlq", max_message_bytes=LARGEST))
    large = Lane(
        DeclaredQueue("large", max_message_bytes=LARGEST), DeclaredQueue("large-dlq", max_message_bytes=LARGEST)
    )
    tiny = Lane(DeclaredQueue("tiny", max_message_bytes=1_024), DeclaredQueue("tiny-dlq", max_message_bytes=1_024))
    assert inline_limit_bytes("usual", usual) == 262_144
    assert inline_limit_bytes("large", large) == LARGEST - 4_096
    assert inline_limit_bytes("large-dlq", large) == LARGEST
    assert inline_limit_bytes("elsewhere", None) == LARGEST - 4_096
    assert inline_limit_bytes("tiny", tiny) == 1_024  # SQS has no smaller queues: its reasons are in the index
