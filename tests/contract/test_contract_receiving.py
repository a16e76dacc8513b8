"""Receiving, leases, deleting."""

import threading
import time

import pytest
from botocore.exceptions import ClientError
from sqs_calls import attribute, counts, drain, eventually, receive, receive_one, refused, send


def test_system_attributes_by_both_spellings(sqs, queue):
    before_ms = time.time() * 1000
    send(sqs, queue)
    for field in ("AttributeNames", "MessageSystemAttributeNames"):
        (message,) = sqs.receive_message(QueueUrl=queue, VisibilityTimeout=0, **{field: ["SentTimestamp"]})["Messages"]
        assert set(message["Attributes"]) == {"SentTimestamp"}
        assert abs(int(message["Attributes"]["SentTimestamp"]) - before_ms) < 60_000
        # Named by API_ReceiveMessage among them; no message has it.
        sqs.receive_message(QueueUrl=queue, VisibilityTimeout=0, **{field: ["SqsManagedSseEnabled"]})
    (message,) = sqs.receive_message(QueueUrl=queue, VisibilityTimeout=0)["Messages"]
    assert "Attributes" not in message
    (message,) = sqs.receive_message(QueueUrl=queue, AttributeNames=["All"])["Messages"]
    assert {"SenderId", "SentTimestamp", "ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp"} <= set(
        message["Attributes"]
    )


def test_receives_are_counted_and_the_first_is_remembered(sqs, queue):
    send(sqs, queue)
    first = receive_one(sqs, queue, VisibilityTimeout=0)["Attributes"]
    time.sleep(0.01)
    second = receive_one(sqs, queue, VisibilityTimeout=0)["Attributes"]
    assert (first["ApproximateReceiveCount"], second["ApproximateReceiveCount"]) == ("1", "2")
    assert first["ApproximateFirstReceiveTimestamp"] == second["ApproximateFirstReceiveTimestamp"]
    assert int(first["ApproximateFirstReceiveTimestamp"]) >= int(first["SentTimestamp"])


def test_an_empty_queue_answers_without_messages(sqs, queue):
    started = time.monotonic()
    assert "Messages" not in sqs.receive_message(QueueUrl=queue)
    assert time.monotonic() - started < 5
    assert "Messages" not in sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1)
    assert time.monotonic() - started >= 1


@pytest.mark.parametrize(
    "fields",
    [
        {"MaxNumberOfMessages": 0},
        {"MaxNumberOfMessages": 11},
        {"WaitTimeSeconds": 21},
        {"WaitTimeSeconds": -1},
        {"VisibilityTimeout": 43201},
        {"VisibilityTimeout": -1},
    ],
    ids=str,
)
def test_bad_numbers_are_refused(sqs, queue, fields):
    send(sqs, queue)
    refused("InvalidParameterValue", sqs.receive_message, QueueUrl=queue, **fields)
    assert counts(sqs, queue) == (1, 0, 0)


def test_a_wait_has_its_own_words(sqs, queue):
    reason = refused("InvalidParameterValue", sqs.receive_message, QueueUrl=queue, WaitTimeSeconds=21)
    words = "Must be >= 0 and <= 20, if provided."
    assert reason == f"Value 21 for parameter WaitTimeSeconds is invalid. Reason: {words}"


def test_the_shapes_of_the_commonest_errors_are_those_of_the_framework(sqs, queue):
    for call, fields, shape in (
        (sqs.receive_message, {"WaitTimeSeconds": 21}, "InvalidParameterValueException"),
        (sqs.send_message, {"MessageBody": ""}, "MissingRequiredParameterException"),
    ):
        with pytest.raises(ClientError) as caught:
            call(QueueUrl=queue, **fields)
        assert caught.value.response["Error"]["QueryErrorCode"] == shape


def test_a_batch_of_messages_is_received_at_once(sqs, queue):
    sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": str(n), "MessageBody": str(n)} for n in range(10)])
    assert len(sqs.receive_message(QueueUrl=queue)["Messages"]) == 1
    messages = drain(sqs, queue, 9)
    assert len({message["MessageId"] for message in messages}) == 9
    assert counts(sqs, queue) == (0, 10, 0)


@pytest.mark.parametrize("cause", ["sent", "delay ended", "lease ended", "given back"])
def test_a_long_poll_wakes_at_once(sqs, make_queue, cause):
    url = make_queue(VisibilityTimeout=1)
    later = None
    started = time.monotonic()
    if cause == "sent":
        later = threading.Timer(1, send, (sqs, url))
    elif cause == "delay ended":
        send(sqs, url, DelaySeconds=1)
    else:
        send(sqs, url)
        handle = receive_one(sqs, url, VisibilityTimeout=1 if cause == "lease ended" else 60)["ReceiptHandle"]
        if cause == "given back":
            fields = {"QueueUrl": url, "ReceiptHandle": handle, "VisibilityTimeout": 0}
            later = threading.Timer(1, sqs.change_message_visibility, kwargs=fields)
    if later is not None:
        later.start()
    receive_one(sqs, url, WaitTimeSeconds=20)
    assert 0.7 < time.monotonic() - started < 6  # the poll alone would last 20
    if later is not None:
        later.join()


def test_the_queue_may_ask_for_long_polls(sqs, make_queue):
    url = make_queue(ReceiveMessageWaitTimeSeconds=5)
    started = time.monotonic()
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    assert time.monotonic() - started >= 5
    started = time.monotonic()
    assert "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=0)
    assert time.monotonic() - started < 5


def test_one_message_goes_to_one_of_two_pollers(sqs, queue):
    got = []
    pollers = [threading.Thread(target=lambda: got.append(receive(sqs, queue, WaitTimeSeconds=20))) for _ in range(2)]
    for poller in pollers:
        poller.start()
    time.sleep(0.2)
    send(sqs, queue, "first")
    eventually(lambda: bool(got))
    send(sqs, queue, "second")
    for poller in pollers:
        poller.join()
    assert [[message["Body"] for message in messages] for messages in got] == [["first"], ["second"]]


def test_a_lease_of_the_queue_and_one_of_the_receive(sqs, make_queue):
    url = make_queue(VisibilityTimeout=3)
    send(sqs, url)
    started = time.monotonic()
    receive_one(sqs, url)
    receive_one(sqs, url, VisibilityTimeout=60, WaitTimeSeconds=20)
    assert time.monotonic() - started >= 2.8, "it was hidden for as long as the queue says, and no longer"
    time.sleep(3.2)
    assert receive(sqs, url) == []
    assert counts(sqs, url) == (0, 1, 0)


def test_a_lease_is_made_longer_and_shorter(sqs, make_queue):
    url = make_queue(VisibilityTimeout=5)
    send(sqs, url)
    handle = receive_one(sqs, url)["ReceiptHandle"]
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=60)
    time.sleep(5.2)
    assert receive(sqs, url) == []
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)
    assert receive_one(sqs, url)["Attributes"]["ApproximateReceiveCount"] == "2"


def test_no_lease_is_longer_than_twelve_hours_from_its_receive(sqs, queue):
    send(sqs, queue)
    handle = receive_one(sqs, queue)["ReceiptHandle"]
    time.sleep(1.1)
    for seconds in (-1, 43201, 43200):
        refused(
            "InvalidParameterValue",
            sqs.change_message_visibility,
            QueueUrl=queue,
            ReceiptHandle=handle,
            VisibilityTimeout=seconds,
        )
    sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=handle, VisibilityTimeout=43000)


def test_a_message_that_is_not_in_flight_has_no_lease(sqs, queue):
    send(sqs, queue)
    handle = receive_one(sqs, queue, VisibilityTimeout=0)["ReceiptHandle"]
    with pytest.raises(sqs.exceptions.MessageNotInflight) as caught:
        sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=handle, VisibilityTimeout=60)
    assert caught.value.response["Error"]["Code"] == "AWS.SimpleQueueService.MessageNotInflight"
    assert counts(sqs, queue) == (1, 0, 0)


def test_a_deleted_message_has_no_lease(sqs, queue):
    send(sqs, queue)
    handle = receive_one(sqs, queue)["ReceiptHandle"]
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=handle)
    refused(
        "InvalidParameterValue",
        sqs.change_message_visibility,
        QueueUrl=queue,
        ReceiptHandle=handle,
        VisibilityTimeout=60,
    )


def test_visibilities_are_changed_in_a_batch_one_by_one(sqs, queue):
    for body in "ab":
        send(sqs, queue, body)
    handles = {message["Body"]: message["ReceiptHandle"] for message in drain(sqs, queue, 2)}
    answer = sqs.change_message_visibility_batch(
        QueueUrl=queue,
        Entries=[
            {"Id": "free", "ReceiptHandle": handles["a"], "VisibilityTimeout": 0},
            {"Id": "keep", "ReceiptHandle": handles["b"], "VisibilityTimeout": 600},
            {"Id": "bad-handle", "ReceiptHandle": "nonsense", "VisibilityTimeout": 0},
            {"Id": "bad-number", "ReceiptHandle": handles["b"], "VisibilityTimeout": 43201},
        ],
    )
    assert sorted(entry["Id"] for entry in answer["Successful"]) == ["free", "keep"]
    codes = {entry["Id"]: entry["Code"] for entry in answer["Failed"]}
    assert codes == {"bad-handle": "ReceiptHandleIsInvalid", "bad-number": "InvalidParameterValue"}
    assert receive_one(sqs, queue)["Body"] == "a"


def test_deleting_twice_is_no_error(sqs, queue):
    send(sqs, queue)
    handle = receive_one(sqs, queue)["ReceiptHandle"]
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=handle)
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=handle)
    assert counts(sqs, queue) == (0, 0, 0)


def test_a_handle_is_good_for_deleting_after_its_lease(sqs, queue):
    send(sqs, queue)
    handle = receive_one(sqs, queue, VisibilityTimeout=0)["ReceiptHandle"]
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=handle)
    eventually(lambda: counts(sqs, queue) == (0, 0, 0))


def test_the_handle_of_an_older_delivery_deletes_nothing(sqs, queue):
    """API_DeleteMessage: "you must provide the most recently received ReceiptHandle for the message"."""
    send(sqs, queue)
    older = receive_one(sqs, queue, VisibilityTimeout=0)["ReceiptHandle"]
    newer = receive_one(sqs, queue)["ReceiptHandle"]
    assert older != newer
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=older)
    assert counts(sqs, queue) == (0, 1, 0)
    refused(
        "InvalidParameterValue",
        sqs.change_message_visibility,
        QueueUrl=queue,
        ReceiptHandle=older,
        VisibilityTimeout=0,
    )
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=newer)
    assert counts(sqs, queue) == (0, 0, 0)


def test_handles_that_are_none_are_refused(sqs, queue, make_queue):
    other = make_queue()
    send(sqs, other)
    foreign = receive_one(sqs, other)["ReceiptHandle"]
    for handle in ("nonsense", foreign, "grüße"):
        with pytest.raises(sqs.exceptions.ReceiptHandleIsInvalid):
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=handle)
        with pytest.raises(sqs.exceptions.ReceiptHandleIsInvalid):
            sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=handle, VisibilityTimeout=0)
    assert counts(sqs, other) == (0, 1, 0)


def test_messages_are_deleted_in_a_batch_one_by_one(sqs, queue):
    send(sqs, queue)
    handle = receive_one(sqs, queue)["ReceiptHandle"]
    answer = sqs.delete_message_batch(
        QueueUrl=queue,
        Entries=[{"Id": "good", "ReceiptHandle": handle}, {"Id": "bad", "ReceiptHandle": "nonsense"}],
    )
    assert [entry["Id"] for entry in answer["Successful"]] == ["good"]
    assert [(entry["Id"], entry["Code"]) for entry in answer["Failed"]] == [("bad", "ReceiptHandleIsInvalid")]
    assert attribute(sqs, queue, "ApproximateNumberOfMessagesNotVisible") == "0"
    with pytest.raises(sqs.exceptions.EmptyBatchRequest):
        sqs.delete_message_batch(QueueUrl=queue, Entries=[])
    with pytest.raises(sqs.exceptions.BatchEntryIdsNotDistinct):
        sqs.delete_message_batch(QueueUrl=queue, Entries=[{"Id": "a", "ReceiptHandle": handle}] * 2)
    entries = [{"Id": str(number), "ReceiptHandle": handle} for number in range(11)]
    with pytest.raises(sqs.exceptions.TooManyEntriesInBatchRequest):
        sqs.delete_message_batch(QueueUrl=queue, Entries=entries)


def test_counts_follow_a_message_through_its_life(sqs, queue):
    send(sqs, queue, DelaySeconds=5)
    assert counts(sqs, queue) == (0, 0, 1)
    eventually(lambda: counts(sqs, queue) == (1, 0, 0))
    handle = receive_one(sqs, queue, VisibilityTimeout=5)["ReceiptHandle"]
    assert counts(sqs, queue) == (0, 1, 0)
    eventually(lambda: counts(sqs, queue) == (1, 0, 0))
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=handle)
    assert counts(sqs, queue) == (0, 0, 0)


def test_groups_of_a_standard_queue_take_turns(sqs, queue):
    """Fair queues: who sends much makes no one else wait for long."""
    for number in range(30):
        send(sqs, queue, f"noisy-{number}", MessageGroupId="noisy")
    send(sqs, queue, "quiet", MessageGroupId="quiet")
    bodies = [message["Body"] for message in receive(sqs, queue)]
    assert "quiet" in bodies
    message = next(m for m in drain(sqs, queue, 31 - len(bodies)) if m["Body"].startswith("noisy"))
    assert message["Attributes"]["MessageGroupId"] == "noisy"
    assert "SequenceNumber" not in message["Attributes"]


def test_unknown_system_attributes_are_refused(sqs, queue):
    refused("InvalidAttributeName", sqs.receive_message, QueueUrl=queue, AttributeNames=["Colour"])
