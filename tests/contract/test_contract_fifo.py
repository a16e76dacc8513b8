"""FIFO queues: order, groups, deduplication, receive attempts."""

import time

import pytest
from sqs_calls import arn, counts, drain, eventually, receive, receive_one, redrive_to, refused, send


@pytest.fixture
def fifo(make_queue):
    """URL of an empty FIFO queue that deduplicates by content."""
    return make_queue(FifoQueue="true", ContentBasedDeduplication="true")


def test_order_within_a_group_across_receives(sqs, fifo):
    for number in range(12):
        send(sqs, fifo, str(number), MessageGroupId="g")
    first = receive(sqs, fifo, MaxNumberOfMessages=4)
    assert [message["Body"] for message in first] == ["0", "1", "2", "3"]
    assert receive(sqs, fifo) == []
    for message in first:
        sqs.delete_message(QueueUrl=fifo, ReceiptHandle=message["ReceiptHandle"])
    assert [message["Body"] for message in receive(sqs, fifo)] == [str(number) for number in range(4, 12)]


def test_a_group_waits_for_its_message_in_flight_and_others_do_not(sqs, fifo):
    for body, group in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        send(sqs, fifo, body, MessageGroupId=group)
    a1 = receive_one(sqs, fifo, MaxNumberOfMessages=1)
    assert a1["Body"] == "a1"
    b1 = receive_one(sqs, fifo)
    assert b1["Body"] == "b1"
    assert receive(sqs, fifo) == []
    sqs.delete_message(QueueUrl=fifo, ReceiptHandle=a1["ReceiptHandle"])
    assert receive_one(sqs, fifo)["Body"] == "a2"


def test_a_message_given_back_is_first_again(sqs, fifo):
    for number in range(3):
        send(sqs, fifo, str(number), MessageGroupId="g")
    messages = receive(sqs, fifo, MaxNumberOfMessages=2)
    for message in reversed(messages):
        sqs.change_message_visibility(QueueUrl=fifo, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    assert [message["Body"] for message in receive(sqs, fifo)] == ["0", "1", "2"]


def test_what_nothing_in_flight_stands_before_can_be_received(sqs, fifo):
    for number in range(4):
        send(sqs, fifo, str(number), MessageGroupId="g")
    messages = receive(sqs, fifo, MaxNumberOfMessages=3)
    assert [message["Body"] for message in messages] == ["0", "1", "2"]
    for message in messages[:2]:
        sqs.change_message_visibility(QueueUrl=fifo, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    first, second = receive(sqs, fifo)
    assert [first["Body"], second["Body"]] == ["0", "1"]
    # In the other order: "1" waits for "0", which is in flight.
    sqs.change_message_visibility(QueueUrl=fifo, ReceiptHandle=second["ReceiptHandle"], VisibilityTimeout=0)
    assert receive(sqs, fifo) == []
    sqs.delete_message(QueueUrl=fifo, ReceiptHandle=first["ReceiptHandle"])
    assert receive_one(sqs, fifo)["Body"] == "1"


def test_a_shut_group_opens_for_a_waiting_poll(sqs, fifo):
    for number in range(2):
        send(sqs, fifo, str(number), MessageGroupId="g")
    receive_one(sqs, fifo, MaxNumberOfMessages=1, VisibilityTimeout=1)
    messages = receive(sqs, fifo, WaitTimeSeconds=10)
    assert [message["Body"] for message in messages] == ["0", "1"]


def test_fifo_messages_carry_group_deduplication_id_and_sequence(sqs, fifo):
    answers = [send(sqs, fifo, "x", MessageGroupId="g", MessageDeduplicationId=str(n)) for n in range(2)]
    messages = receive(sqs, fifo)
    for answer, message, number in zip(answers, messages, "01", strict=True):
        attributes = message["Attributes"]
        assert attributes["MessageGroupId"] == "g"
        assert attributes["MessageDeduplicationId"] == number
        assert attributes["SequenceNumber"] == answer["SequenceNumber"]
        assert len(answer["SequenceNumber"]) == 20


def test_sequence_numbers_grow(sqs, fifo):
    numbers = [send(sqs, fifo, str(n), MessageGroupId="g")["SequenceNumber"] for n in range(10)]
    assert sorted(set(numbers)) == numbers


def test_a_repeated_deduplication_id_sends_nothing(sqs, make_queue):
    url = make_queue(FifoQueue="true")
    first = send(sqs, url, "x", MessageGroupId="g", MessageDeduplicationId="d")
    again = send(sqs, url, "other body", MessageGroupId="h", MessageDeduplicationId="d")
    assert (again["MessageId"], again["SequenceNumber"]) == (first["MessageId"], first["SequenceNumber"])
    message = receive_one(sqs, url)
    assert message["Body"] == "x"
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    send(sqs, url, "x", MessageGroupId="g", MessageDeduplicationId="d")
    assert receive(sqs, url) == []


def test_a_purge_forgets_deduplication_ids(sqs, fifo):
    first = send(sqs, fifo, "x", MessageGroupId="g")
    sqs.purge_queue(QueueUrl=fifo)
    eventually(lambda: send(sqs, fifo, "x", MessageGroupId="g")["MessageId"] != first["MessageId"])
    assert receive_one(sqs, fifo)["Body"] == "x"


def test_deduplication_by_content(sqs, fifo):
    send(sqs, fifo, "same", MessageGroupId="g")
    send(sqs, fifo, "same", MessageGroupId="g")
    send(sqs, fifo, "same", MessageGroupId="g", MessageDeduplicationId="its-own")
    assert counts(sqs, fifo) == (2, 0, 0)


def test_deduplication_within_a_group(sqs, make_queue):
    url = make_queue(FifoQueue="true", DeduplicationScope="messageGroup", FifoThroughputLimit="perMessageGroupId")
    for group in ("g", "g", "h"):
        send(sqs, url, group, MessageGroupId=group, MessageDeduplicationId="d")
    assert sorted(message["Body"] for message in drain(sqs, url, 2)) == ["g", "h"]


@pytest.mark.parametrize("scopes", [("queue", "messageGroup"), ("messageGroup", "queue")], ids="-".join)
def test_another_scope_forgets_no_deduplication_id(sqs, make_queue, scopes):
    url = make_queue(FifoQueue="true", DeduplicationScope=scopes[0])
    fields = {"MessageGroupId": "g", "MessageDeduplicationId": "d"}
    first = send(sqs, url, "x", **fields)
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"DeduplicationScope": scopes[1]})
    assert send(sqs, url, "x", **fields)["MessageId"] == first["MessageId"]
    assert counts(sqs, url) == (1, 0, 0)


def test_group_and_deduplication_id_are_needed(sqs, make_queue):
    url = make_queue(FifoQueue="true")
    refused("MissingParameter", sqs.send_message, QueueUrl=url, MessageBody="x", MessageDeduplicationId="d")
    refused("InvalidParameterValue", sqs.send_message, QueueUrl=url, MessageBody="x", MessageGroupId="g")


@pytest.mark.parametrize(
    "entry", [{"MessageDeduplicationId": "d"}, {"MessageGroupId": "g"}], ids=["no group", "no deduplication id"]
)
def test_an_entry_that_lacks_an_id_refuses_the_whole_batch(sqs, make_queue, entry):
    url = make_queue(FifoQueue="true")
    entries = [
        {"Id": "whole", "MessageBody": "x", "MessageGroupId": "g", "MessageDeduplicationId": "e"},
        {"Id": "lacks", "MessageBody": "x", **entry},
    ]
    refused("InvalidParameterValue", sqs.send_message_batch, QueueUrl=url, Entries=entries)
    assert counts(sqs, url) == (0, 0, 0)


@pytest.mark.parametrize("bad", ["with space", "x" * 129, "grüße"])
def test_group_and_deduplication_ids_are_well_formed(sqs, fifo, bad):
    refused("InvalidParameterValue", sqs.send_message, QueueUrl=fifo, MessageBody="x", MessageGroupId=bad)
    refused(
        "InvalidParameterValue",
        sqs.send_message,
        QueueUrl=fifo,
        MessageBody="x",
        MessageGroupId="g",
        MessageDeduplicationId=bad,
    )


def test_a_single_fifo_message_has_no_delay_of_its_own(sqs, fifo):
    refused(
        "InvalidParameterValue", sqs.send_message, QueueUrl=fifo, MessageBody="x", MessageGroupId="g", DelaySeconds=1
    )


def test_a_lost_answer_is_asked_for_again(sqs, fifo):
    for number in range(3):
        send(sqs, fifo, str(number), MessageGroupId=str(number))
    first = receive(sqs, fifo, MaxNumberOfMessages=2, ReceiveRequestAttemptId="attempt")
    again = receive(sqs, fifo, MaxNumberOfMessages=2, ReceiveRequestAttemptId="attempt")
    assert [m["MessageId"] for m in again] == [m["MessageId"] for m in first]
    assert {m["Attributes"]["ApproximateReceiveCount"] for m in again} == {"1"}
    other = receive(sqs, fifo, ReceiveRequestAttemptId="another")
    assert [m["Body"] for m in other] == ["2"]


def test_a_handle_whose_lease_is_over_deletes_nothing(sqs, fifo):
    send(sqs, fifo, "x", MessageGroupId="g")
    handle = receive_one(sqs, fifo, VisibilityTimeout=0)["ReceiptHandle"]
    refused("InvalidParameterValue", sqs.delete_message, QueueUrl=fifo, ReceiptHandle=handle)
    assert counts(sqs, fifo) == (1, 0, 0)


def test_a_dead_letter_lets_its_group_go_on(sqs, make_queue):
    dlq = make_queue("-dlq", FifoQueue="true")
    url = make_queue(FifoQueue="true", ContentBasedDeduplication="true", RedrivePolicy=redrive_to(arn(sqs, dlq), 1))
    for body in ("poison", "healthy"):
        send(sqs, url, body, MessageGroupId="g")
    assert receive_one(sqs, url, MaxNumberOfMessages=1, VisibilityTimeout=0)["Body"] == "poison"
    assert receive_one(sqs, url)["Body"] == "healthy"
    assert receive_one(sqs, dlq)["Body"] == "poison"


def test_a_dead_letter_is_as_old_as_its_move_and_goes_by_its_own_id(sqs, make_queue):
    """SQSDeveloperGuide/setting-up-dead-letter-queue-retention, sqs-configure-dead-letter-queue-redrive."""
    dlq = make_queue("-dlq", FifoQueue="true")
    url = make_queue(FifoQueue="true", RedrivePolicy=redrive_to(arn(sqs, dlq), 1))
    send(sqs, url, "poison", MessageGroupId="g", MessageDeduplicationId="d")
    first = receive_one(sqs, url, VisibilityTimeout=0)
    time.sleep(0.1)
    eventually(lambda: not receive(sqs, url, VisibilityTimeout=0) and counts(sqs, dlq)[0] == 1)
    dead = receive_one(sqs, dlq)
    assert dead["MessageId"] == dead["Attributes"]["MessageDeduplicationId"] == first["MessageId"]
    assert int(dead["Attributes"]["SentTimestamp"]) >= int(first["Attributes"]["SentTimestamp"]) + 100
