"""Redrive to dead-letter queues, and move tasks back."""

import time

import pytest
from sqs_calls import arn, counts, eventually, receive, receive_one, redrive_to, refused, send


@pytest.fixture
def lane(sqs, make_queue):
    """A queue that gives up after two receives, and its dead-letter queue."""
    dlq = make_queue("-dlq")
    return make_queue(RedrivePolicy=redrive_to(arn(sqs, dlq), 2), VisibilityTimeout=0), dlq


def make_dead(sqs, queue, count=1):
    """Receives what is in the queue, with no lease, until it has all gone to the dead-letter queue."""
    eventually(lambda: not receive(sqs, queue, VisibilityTimeout=0) and counts(sqs, queue) == (0, 0, 0))


def test_what_was_received_too_often_becomes_a_dead_letter(sqs, lane):
    queue, dlq = lane
    sent = send(sqs, queue, "poison", MessageAttributes={"a": {"DataType": "String", "StringValue": "b"}})
    first = receive_one(sqs, queue)
    assert receive_one(sqs, queue)["Attributes"]["ApproximateReceiveCount"] == "2"
    assert "DeadLetterQueueSourceArn" not in first["Attributes"]
    assert receive(sqs, queue) == []
    assert counts(sqs, queue) == (0, 0, 0)
    dead = receive_one(sqs, dlq, MessageAttributeNames=["All"])
    assert dead["Body"] == "poison"
    assert dead["MessageId"] == sent["MessageId"]
    assert dead["MessageAttributes"] == {"a": {"DataType": "String", "StringValue": "b"}}
    assert dead["Attributes"]["SentTimestamp"] == first["Attributes"]["SentTimestamp"]
    assert dead["Attributes"]["DeadLetterQueueSourceArn"] == arn(sqs, queue)
    assert dead["Attributes"]["ApproximateReceiveCount"] == "3"


def test_a_dead_letter_wakes_who_waits_for_it(sqs, lane):
    queue, dlq = lane
    send(sqs, queue)
    receive_one(sqs, queue)
    receive_one(sqs, queue, VisibilityTimeout=1)
    started = time.monotonic()
    assert receive(sqs, queue, WaitTimeSeconds=2) == []
    receive_one(sqs, dlq, WaitTimeSeconds=10)
    assert time.monotonic() - started < 8


def test_healthy_neighbours_of_a_dead_letter_stay(sqs, lane):
    queue, dlq = lane
    send(sqs, queue, "poison")
    receive_one(sqs, queue)
    receive_one(sqs, queue)
    send(sqs, queue, "healthy")
    assert receive_one(sqs, queue)["Body"] == "healthy"
    assert receive_one(sqs, dlq)["Body"] == "poison"


def test_a_raised_limit_counts_for_messages_that_are_there(sqs, lane):
    queue, dlq = lane
    send(sqs, queue)
    receive_one(sqs, queue)
    receive_one(sqs, queue)
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": redrive_to(arn(sqs, dlq), 3)})
    assert receive_one(sqs, queue)["Attributes"]["ApproximateReceiveCount"] == "3"
    assert counts(sqs, dlq) == (0, 0, 0)


def test_move_task_brings_dead_letters_home(sqs, lane):
    queue, dlq = lane
    ids = {send(sqs, queue, str(number))["MessageId"] for number in range(3)}
    make_dead(sqs, queue)
    assert counts(sqs, dlq) == (3, 0, 0)
    handle = sqs.start_message_move_task(SourceArn=arn(sqs, dlq))["TaskHandle"]
    assert handle
    eventually(lambda: counts(sqs, dlq) == (0, 0, 0) and counts(sqs, queue) == (3, 0, 0))
    eventually(lambda: sqs.list_message_move_tasks(SourceArn=arn(sqs, dlq))["Results"][0]["Status"] == "COMPLETED")
    (task,) = sqs.list_message_move_tasks(SourceArn=arn(sqs, dlq))["Results"]
    assert task["ApproximateNumberOfMessagesMoved"] == task["ApproximateNumberOfMessagesToMove"] == 3
    assert task["SourceArn"] == arn(sqs, dlq)
    assert "TaskHandle" not in task
    message = receive_one(sqs, queue, MaxNumberOfMessages=1)
    # SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive: redriven messages are new ones.
    assert message["MessageId"] not in ids
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert "DeadLetterQueueSourceArn" not in message["Attributes"]


def test_move_task_to_another_queue(sqs, lane, make_queue):
    queue, dlq = lane
    other = make_queue("-other")
    send(sqs, queue)
    make_dead(sqs, queue)
    sqs.start_message_move_task(SourceArn=arn(sqs, dlq), DestinationArn=arn(sqs, other))
    eventually(lambda: counts(sqs, other) == (1, 0, 0))
    (task,) = sqs.list_message_move_tasks(SourceArn=arn(sqs, dlq))["Results"]
    assert task["DestinationArn"] == arn(sqs, other)


def test_move_task_keeps_its_rate_and_can_be_cancelled(sqs, lane):
    queue, dlq = lane
    for start in range(0, 30, 10):
        entries = [{"Id": str(number), "MessageBody": str(start + number)} for number in range(10)]
        sqs.send_message_batch(QueueUrl=queue, Entries=entries)
    make_dead(sqs, queue)
    source = arn(sqs, dlq)
    started = time.monotonic()
    handle = sqs.start_message_move_task(SourceArn=source, MaxNumberOfMessagesPerSecond=2)["TaskHandle"]
    (task,) = sqs.list_message_move_tasks(SourceArn=source)["Results"]
    assert (task["Status"], task["TaskHandle"]) == ("RUNNING", handle)
    assert task["MaxNumberOfMessagesPerSecond"] == 2
    reason = refused("InvalidParameterValue", sqs.start_message_move_task, SourceArn=source)
    assert reason.startswith("There is already a task running.")
    eventually(lambda: counts(sqs, queue)[0] >= 3)
    assert time.monotonic() - started > 0.8
    moved = sqs.cancel_message_move_task(TaskHandle=handle)["ApproximateNumberOfMessagesMoved"]
    assert 3 <= moved < 30
    assert counts(sqs, dlq) == (30 - moved, 0, 0)
    eventually(lambda: sqs.list_message_move_tasks(SourceArn=source)["Results"][0]["Status"] == "CANCELLED")
    with pytest.raises(sqs.exceptions.UnsupportedOperation):
        sqs.cancel_message_move_task(TaskHandle=handle)


def test_move_task_without_a_home_fails(sqs, lane):
    _, dlq = lane
    send(sqs, dlq, "sent here by hand")
    sqs.start_message_move_task(SourceArn=arn(sqs, dlq))
    eventually(lambda: sqs.list_message_move_tasks(SourceArn=arn(sqs, dlq))["Results"][0]["Status"] == "FAILED")
    (task,) = sqs.list_message_move_tasks(SourceArn=arn(sqs, dlq))["Results"]
    assert task["FailureReason"] == "CouldNotDetermineMessageSource"
    assert counts(sqs, dlq) == (1, 0, 0)


def test_move_tasks_that_cannot_be(sqs, lane):
    queue, dlq = lane
    missing = arn(sqs, queue) + "-missing"
    with pytest.raises(sqs.exceptions.ResourceNotFoundException):
        sqs.start_message_move_task(SourceArn=missing)
    with pytest.raises(sqs.exceptions.ResourceNotFoundException):
        sqs.start_message_move_task(SourceArn=arn(sqs, dlq), DestinationArn=missing)
    with pytest.raises(sqs.exceptions.ResourceNotFoundException):
        sqs.list_message_move_tasks(SourceArn=missing)
    elsewhere = arn(sqs, dlq).replace(arn(sqs, dlq).split(":")[3], "mars-east-1")
    with pytest.raises(sqs.exceptions.ResourceNotFoundException):
        sqs.start_message_move_task(SourceArn=elsewhere)
    start = sqs.start_message_move_task
    refused("InvalidParameterValue", start, SourceArn=arn(sqs, queue))
    refused("InvalidParameterValue", start, SourceArn=arn(sqs, dlq), MaxNumberOfMessagesPerSecond=501)
    refused("InvalidParameterValue", sqs.list_message_move_tasks, SourceArn=arn(sqs, dlq), MaxResults=11)
    assert sqs.list_message_move_tasks(SourceArn=arn(sqs, dlq))["Results"] == []
