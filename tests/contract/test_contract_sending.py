"""Sending: what is taken, what is refused, sums, sizes, delays, batches."""

import hashlib
import time

import pytest
from sqs_calls import attribute, counts, drain, receive, receive_one, refused, send

LIMIT_BYTES = 1_048_576


def test_the_answer_carries_id_and_sum(sqs, queue):
    answer = send(sqs, queue, "grüße")
    assert answer["MD5OfMessageBody"] == hashlib.md5("grüße".encode()).hexdigest()
    assert "MD5OfMessageAttributes" not in answer
    message = receive_one(sqs, queue)
    assert message["MessageId"] == answer["MessageId"]
    assert message["Body"] == "grüße"
    assert message["MD5OfBody"] == answer["MD5OfMessageBody"]


@pytest.mark.parametrize("body", ["\t\n\r", "\x20\ud7ff", "\ue000\ufffd", "\U00010000\U0010ffff", '"\\/\u2028'])
def test_every_character_that_sqs_takes_comes_back(sqs, queue, body):
    send(sqs, queue, body)
    assert receive_one(sqs, queue)["Body"] == body


@pytest.mark.parametrize("body", ["\x00", "a\x08", "\x0b", "\x1f", "\ufffe", "\uffff"], ids=ascii)
def test_other_characters_are_refused(sqs, queue, body):
    with pytest.raises(sqs.exceptions.InvalidMessageContents):
        send(sqs, queue, body)
    assert counts(sqs, queue) == (0, 0, 0)


def test_an_empty_body_is_missing(sqs, queue):
    refused("MissingParameter", sqs.send_message, QueueUrl=queue, MessageBody="")


def test_the_largest_message_passes_and_one_byte_more_does_not(sqs, queue):
    send(sqs, queue, "x" * LIMIT_BYTES)
    assert len(receive_one(sqs, queue)["Body"]) == LIMIT_BYTES
    refused("InvalidParameterValue", sqs.send_message, QueueUrl=queue, MessageBody="x" * (LIMIT_BYTES + 1))
    # Sizes are those of UTF-8.
    refused("InvalidParameterValue", sqs.send_message, QueueUrl=queue, MessageBody="ü" * (LIMIT_BYTES // 2 + 1))


def test_attributes_count_toward_the_size(sqs, queue):
    attributes = {"name": {"DataType": "String", "StringValue": "value"}}
    room = LIMIT_BYTES - len("name" + "String" + "value")
    send(sqs, queue, "x" * room, MessageAttributes=attributes)
    refused(
        "InvalidParameterValue",
        sqs.send_message,
        QueueUrl=queue,
        MessageBody="x" * (room + 1),
        MessageAttributes=attributes,
    )


def test_a_queue_may_take_less(sqs, make_queue):
    url = make_queue(MaximumMessageSize=1024)
    send(sqs, url, "x" * 1024)
    refused("InvalidParameterValue", sqs.send_message, QueueUrl=url, MessageBody="x" * 1025)
    answer = sqs.send_message_batch(
        QueueUrl=url,
        Entries=[{"Id": "fits", "MessageBody": "x"}, {"Id": "too-long", "MessageBody": "x" * 1025}],
    )
    assert [entry["Id"] for entry in answer["Successful"]] == ["fits"]
    assert [(entry["Id"], entry["SenderFault"]) for entry in answer["Failed"]] == [("too-long", True)]


def test_attributes_of_every_type_come_back_with_their_sum(sqs, queue):
    attributes = {
        "text": {"DataType": "String", "StringValue": "grüße"},
        "number": {"DataType": "Number", "StringValue": "-12.5e3"},
        "least": {"DataType": "Number", "StringValue": "-1e-128"},
        "longest": {"DataType": "Number", "StringValue": f"00.{'1' * 38}00e+5"},
        "nothing": {"DataType": "Number.none", "StringValue": "0.0"},
        "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        "own.type": {"DataType": "String.json", "StringValue": "{}"},
    }
    answer = send(sqs, queue, MessageAttributes=attributes)
    message = receive_one(sqs, queue, MessageAttributeNames=["All"], VisibilityTimeout=0)
    assert message["MessageAttributes"] == attributes
    assert message["MD5OfMessageAttributes"] == answer["MD5OfMessageAttributes"]


def test_the_sum_of_attributes_is_the_one_that_sqs_makes(sqs, queue):
    attributes = {"timestamp": {"DataType": "Number", "StringValue": "1493147359900"}}
    assert (
        send(sqs, queue, MessageAttributes=attributes)["MD5OfMessageAttributes"] == "235c5c510d26fb653d073faed50ae77c"
    )


def test_attributes_are_shown_as_asked(sqs, queue):
    attributes = {name: {"DataType": "String", "StringValue": name} for name in ("a.one", "a.two", "another", "b")}
    send(sqs, queue, MessageAttributes=attributes)
    for asked, shown in (
        ([], None),
        (["b"], {"b"}),
        (["a.*"], {"a.one", "a.two", "another"}),
        (["a.t.*"], {"a.two"}),
        (["missing.*"], None),
        (["a.two", "b", "missing"], {"a.two", "b"}),
        ([".*"], {"a.one", "a.two", "another", "b"}),
        (["*"], {"a.one", "a.two", "another", "b"}),
        (["All"], {"a.one", "a.two", "another", "b"}),
        (["missing"], None),
    ):
        message = receive_one(sqs, queue, MessageAttributeNames=asked, VisibilityTimeout=0)
        got = message.get("MessageAttributes")
        assert (set(got) if got is not None else None) == shown, asked
        assert ("MD5OfMessageAttributes" in message) == (shown is not None), asked


@pytest.mark.parametrize(
    ("name", "attribute"),
    [
        pytest.param("", {"DataType": "String", "StringValue": "x"}, id="empty-name"),
        pytest.param("AWS.mine", {"DataType": "String", "StringValue": "x"}, id="AWS-prefix"),
        pytest.param("amazon.mine", {"DataType": "String", "StringValue": "x"}, id="amazon-prefix"),
        pytest.param(".dot", {"DataType": "String", "StringValue": "x"}, id="leading-dot"),
        pytest.param("dot.", {"DataType": "String", "StringValue": "x"}, id="trailing-dot"),
        pytest.param("two..dots", {"DataType": "String", "StringValue": "x"}, id="two-dots"),
        pytest.param("sp ace", {"DataType": "String", "StringValue": "x"}, id="space"),
        pytest.param("n" * 257, {"DataType": "String", "StringValue": "x"}, id="long-name"),
        pytest.param("a", {"DataType": "", "StringValue": "x"}, id="no-type"),
        pytest.param("a", {"DataType": "Text", "StringValue": "x"}, id="unknown-type"),
        pytest.param("a", {"DataType": "String", "StringValue": ""}, id="empty-text"),
        pytest.param("a", {"DataType": "Binary", "BinaryValue": b""}, id="empty-bytes"),
        pytest.param("a", {"DataType": "Binary", "StringValue": "x"}, id="text-for-bytes"),
        pytest.param("a", {"DataType": "Number", "StringValue": "many"}, id="no-number"),
        pytest.param("a", {"DataType": "Number", "StringValue": "٣"}, id="other-digits"),
        pytest.param("a", {"DataType": "Number", "StringValue": "1" * 39}, id="39-digits"),
        pytest.param("a", {"DataType": "Number", "StringValue": "1.1e126"}, id="too-great"),
        pytest.param("a", {"DataType": "Number", "StringValue": "-9.9e-129"}, id="too-small"),
        pytest.param("a", {"DataType": "Number", "StringValue": "1e" + "9" * 40}, id="no-exponent"),
        pytest.param("a", {"DataType": "String", "StringValue": "\x00"}, id="refused-character"),
        pytest.param("a", {"DataType": "String.\ufffe", "StringValue": "x"}, id="refused-in-type"),
    ],
)
def test_bad_attributes_are_refused(sqs, queue, name, attribute):
    refused(
        "InvalidParameterValue",
        sqs.send_message,
        QueueUrl=queue,
        MessageBody="x",
        MessageAttributes={name: attribute},
    )
    assert counts(sqs, queue) == (0, 0, 0)


def test_an_empty_attribute_is_named(sqs, queue):
    attributes = {"a": {"DataType": "String", "StringValue": ""}}
    fields = {"QueueUrl": queue, "MessageBody": "x", "MessageAttributes": attributes}
    reason = refused("InvalidParameterValue", sqs.send_message, **fields)
    assert reason == "Message (user) attribute 'a' must contain a non-empty value of type 'String'."


def test_ten_attributes_and_no_more(sqs, queue):
    attributes = {f"a{number}": {"DataType": "String", "StringValue": "x"} for number in range(11)}
    refused(
        "InvalidParameterValue",
        sqs.send_message,
        QueueUrl=queue,
        MessageBody="x",
        MessageAttributes=attributes,
    )
    attributes.pop("a10")
    send(sqs, queue, MessageAttributes=attributes)
    assert len(receive_one(sqs, queue, MessageAttributeNames=["All"])["MessageAttributes"]) == 10


def test_the_trace_header_is_a_system_attribute(sqs, queue):
    header = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793"}}
    answer = send(sqs, queue, MessageSystemAttributes=header)
    assert len(answer["MD5OfMessageSystemAttributes"]) == 32
    assert receive_one(sqs, queue)["Attributes"]["AWSTraceHeader"] == header["AWSTraceHeader"]["StringValue"]


@pytest.fixture
def traced(sqs):
    """The trace header that all requests of the test carry."""
    header = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"

    def add(params, **_):
        params["headers"]["X-Amzn-Trace-Id"] = header

    sqs.meta.events.register("before-call.sqs", add)
    yield header
    sqs.meta.events.unregister("before-call.sqs", add)


def test_the_trace_header_of_the_request_is_that_of_its_messages(sqs, queue, traced):
    own = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-000000000000000000000000"}}
    assert "MD5OfMessageSystemAttributes" not in send(sqs, queue, "alone")
    entries = [
        {"Id": "plain", "MessageBody": "plain"},
        {"Id": "own", "MessageBody": "own", "MessageSystemAttributes": own},
    ]
    sqs.send_message_batch(QueueUrl=queue, Entries=entries)
    headers = {message["Body"]: message["Attributes"]["AWSTraceHeader"] for message in drain(sqs, queue, 3)}
    assert headers == {"alone": traced, "plain": traced, "own": own["AWSTraceHeader"]["StringValue"]}


def test_a_delay_of_the_message_and_one_of_the_queue(sqs, make_queue):
    url = make_queue(DelaySeconds=5)
    started = time.monotonic()
    send(sqs, url, "delayed by the queue")
    send(sqs, url, "not delayed", DelaySeconds=0)
    assert counts(sqs, url) == (1, 0, 1)
    assert receive_one(sqs, url)["Body"] == "not delayed"
    assert receive(sqs, url) == []
    message = receive_one(sqs, url, WaitTimeSeconds=20)
    assert message["Body"] == "delayed by the queue"
    assert 4.8 < time.monotonic() - started < 20
    assert int(message["Attributes"]["ApproximateReceiveCount"]) == 1


def test_a_changed_delay_leaves_messages_that_are_there(sqs, make_queue):
    url = make_queue(DelaySeconds=900)
    send(sqs, url, "old")
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "0"})
    send(sqs, url, "new")
    assert receive_one(sqs, url)["Body"] == "new"
    assert counts(sqs, url) == (0, 1, 1)


@pytest.mark.parametrize("seconds", [-1, 901])
def test_bad_delays_are_refused(sqs, queue, seconds):
    refused("InvalidParameterValue", sqs.send_message, QueueUrl=queue, MessageBody="x", DelaySeconds=seconds)


def test_a_deduplication_id_is_for_fifo_queues(sqs, queue):
    refused("InvalidParameterValue", sqs.send_message, QueueUrl=queue, MessageBody="x", MessageDeduplicationId="d")


def test_a_batch_fails_entry_by_entry(sqs, queue):
    answer = sqs.send_message_batch(
        QueueUrl=queue,
        Entries=[
            {"Id": "good", "MessageBody": "x"},
            {"Id": "bad-body", "MessageBody": "\x00"},
            {"Id": "bad-delay", "MessageBody": "x", "DelaySeconds": 901},
            {"Id": "also_good", "MessageBody": "y", "DelaySeconds": 0},
        ],
    )
    assert [entry["Id"] for entry in answer["Successful"]] == ["good", "also_good"]
    failed = {entry["Id"]: entry for entry in answer["Failed"]}
    assert set(failed) == {"bad-body", "bad-delay"}
    assert all(entry["SenderFault"] and entry["Code"] and entry["Message"] for entry in failed.values())
    assert failed["bad-body"]["Code"] == "InvalidMessageContents"
    assert failed["bad-delay"]["Code"] == "InvalidParameterValue"
    assert {message["Body"] for message in drain(sqs, queue, 2)} == {"x", "y"}


def test_batches_have_one_to_ten_entries(sqs, queue):
    eleven = [{"Id": str(number), "MessageBody": "x"} for number in range(11)]
    with pytest.raises(sqs.exceptions.TooManyEntriesInBatchRequest):
        sqs.send_message_batch(QueueUrl=queue, Entries=eleven)
    with pytest.raises(sqs.exceptions.EmptyBatchRequest):
        sqs.send_message_batch(QueueUrl=queue, Entries=[])
    assert len(sqs.send_message_batch(QueueUrl=queue, Entries=eleven[:10])["Successful"]) == 10
    assert counts(sqs, queue) == (10, 0, 0)


def test_batch_ids_are_distinct_and_well_formed(sqs, queue):
    with pytest.raises(sqs.exceptions.BatchEntryIdsNotDistinct):
        sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": "a", "MessageBody": "x"}] * 2)
    for bad in ("", "with space", "a" * 81, "dot."):
        with pytest.raises(sqs.exceptions.InvalidBatchEntryId):
            sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": bad, "MessageBody": "x"}])
    assert counts(sqs, queue) == (0, 0, 0)


def test_a_batch_as_a_whole_has_a_size(sqs, queue):
    half = "x" * (LIMIT_BYTES // 2)
    entries = [{"Id": "a", "MessageBody": half}, {"Id": "b", "MessageBody": half}]
    assert len(sqs.send_message_batch(QueueUrl=queue, Entries=entries)["Successful"]) == 2
    entries[1]["MessageBody"] += "x"
    with pytest.raises(sqs.exceptions.BatchRequestTooLong):
        sqs.send_message_batch(QueueUrl=queue, Entries=entries)
    assert attribute(sqs, queue, "ApproximateNumberOfMessages") == "2"
