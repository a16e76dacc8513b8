"""The older query protocol, in the forms that SDKs from before 2023 send."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest
from in_process import URL, InProcessServer, feed

NAMESPACE = "{http://queue.amazonaws.com/doc/2012-11-05/}"


@pytest.fixture
def server() -> Iterator[InProcessServer]:
    server = InProcessServer(None)
    server.call("CreateQueue", QueueName="q")
    yield server
    server.close()


def ask(server: InProcessServer, path: str = "/", headers: str = "", **fields: str) -> tuple[int, ElementTree.Element]:
    """Status and document; a field's name has its dots as __."""
    form = urlencode({name.replace("__", "."): value for name, value in fields.items()})
    return ask_raw(server, form.encode(), path, headers)


def ask_raw(
    server: InProcessServer, form: bytes, path: str = "/", headers: str = ""
) -> tuple[int, ElementTree.Element]:
    kind = "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n"
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{kind}{headers}Content-Length: {len(form)}\r\n\r\n"
    connection, wire = server.connect()
    feed(connection, head.encode() + form)
    answer_head, _, body = wire.written.partition(b"\r\n\r\n")
    assert b"\r\nContent-Type: text/xml\r\n" in answer_head
    return int(answer_head.split()[1]), ElementTree.fromstring(body)


def texts(document: ElementTree.Element, path: str) -> list[str | None]:
    return [element.text for element in document.iterfind("/".join(NAMESPACE + step for step in path.split("/")))]


def test_a_message_with_attributes_goes_there_and_back(server: InProcessServer) -> None:
    body = 'ü <&> "quoted"\r\n\tline'
    status, sent = ask(
        server,
        Action="SendMessage",
        Version="2012-11-05",
        QueueUrl=URL,
        MessageBody=body,
        MessageAttribute__1__Name="kind",
        MessageAttribute__1__Value__DataType="String",
        MessageAttribute__1__Value__StringValue="a&b",
        MessageAttribute__2__Name="data",
        MessageAttribute__2__Value__DataType="Binary",
        MessageAttribute__2__Value__BinaryValue="AAE=",
    )
    assert status == 200
    assert sent.tag == NAMESPACE + "SendMessageResponse"
    assert len(texts(sent, "ResponseMetadata/RequestId")[0] or "") == 36
    _, received = ask(
        server,
        Action="ReceiveMessage",
        QueueUrl=URL,
        MaxNumberOfMessages="10",
        AttributeName__1="SentTimestamp",
        AttributeName__2="ApproximateReceiveCount",
        MessageAttributeName__1="All",
    )
    message = "ReceiveMessageResult/Message/"
    assert texts(received, message + "Body") == [body]
    assert texts(received, message + "MessageId") == texts(sent, "SendMessageResult/MessageId")
    assert texts(received, message + "MD5OfBody") == texts(sent, "SendMessageResult/MD5OfMessageBody")
    assert texts(received, message + "Attribute/Name") == ["SentTimestamp", "ApproximateReceiveCount"]
    assert texts(received, message + "Attribute/Value") == ["1700000000000", "1"]
    assert texts(received, message + "MessageAttribute/Name") == ["kind", "data"]
    assert texts(received, message + "MessageAttribute/Value/StringValue") == ["a&b"]
    assert texts(received, message + "MessageAttribute/Value/BinaryValue") == ["AAE="]
    (handle,) = texts(received, message + "ReceiptHandle")
    status, deleted = ask(server, Action="DeleteMessage", QueueUrl=URL, ReceiptHandle=handle or "")
    assert (status, [child.tag for child in deleted]) == (200, [NAMESPACE + "ResponseMetadata"])
    assert not server.service.store.queues["q"].messages


def test_a_batch_fails_entry_by_entry(server: InProcessServer) -> None:
    entries = {}
    for number in range(1, 11):
        entries[f"SendMessageBatchRequestEntry.{number}.Id"] = f"id{number}"
        entries[f"SendMessageBatchRequestEntry.{number}.MessageBody"] = str(number)
    entries["SendMessageBatchRequestEntry.2.DelaySeconds"] = "901"
    status, sent = ask(server, "/000000000000/q", Action="SendMessageBatch", **entries)
    assert status == 200
    entry = "SendMessageBatchResult/SendMessageBatchResultEntry/"
    # In the order of the numbers, not of their digits.
    assert texts(sent, entry + "Id") == [f"id{number}" for number in range(1, 11) if number != 2]
    failed = "SendMessageBatchResult/BatchResultErrorEntry/"
    assert texts(sent, failed + "Id") == ["id2"]
    assert texts(sent, failed + "Code") == ["InvalidParameterValue"]
    assert texts(sent, failed + "SenderFault") == ["true"]


def test_queues_are_made_shown_tagged_and_listed(server: InProcessServer) -> None:
    _, made = ask(
        server,
        Action="CreateQueue",
        QueueName="made.fifo",
        Attribute__1__Name="FifoQueue",
        Attribute__1__Value="true",
        Attribute__2__Name="VisibilityTimeout",
        Attribute__2__Value="7",
        Tag__1__Key="team",
        Tag__1__Value="ml",
    )
    (url,) = texts(made, "CreateQueueResult/QueueUrl")
    assert url == "http://localhost/000000000000/made.fifo"
    _, shown = ask(server, Action="GetQueueAttributes", QueueUrl=url, AttributeName__1="VisibilityTimeout")
    assert texts(shown, "GetQueueAttributesResult/Attribute/Value") == ["7"]
    _, tags = ask(server, Action="ListQueueTags", QueueUrl=url)
    assert texts(tags, "ListQueueTagsResult/Tag/Key") == ["team"]
    ask(server, Action="UntagQueue", QueueUrl=url, TagKey__1="team")
    _, tags = ask(server, Action="ListQueueTags", QueueUrl=url)
    assert [child.tag for child in tags] == [NAMESPACE + "ListQueueTagsResult", NAMESPACE + "ResponseMetadata"]
    assert not list(tags[0])
    _, listed = ask(server, Action="ListQueues")
    assert texts(listed, "ListQueuesResult/QueueUrl") == [url, URL]


@pytest.mark.parametrize(
    ("form", "status", "code"),
    [
        (b"", 400, "MissingParameter"),
        (b"Action=", 400, "MissingParameter"),
        (b"Action.1=SendMessage", 400, "MissingParameter"),
        (b"Action=NoSuchThing", 400, "InvalidAction"),
        (b"Action=%3Cx%3E", 400, "InvalidAction"),
        (b"Action=GetQueueUrl&QueueName=none", 400, "AWS.SimpleQueueService.NonExistentQueue"),
        (b"Action=GetQueueUrl&QueueName.1=q", 400, "SerializationException"),
        (b"Action=DeleteMessage&QueueUrl=/q&ReceiptHandle=%EF%BF%BE%01", 400, "ReceiptHandleIsInvalid"),
        (b"Action=SendMessage&QueueUrl=/q&MessageBody=%ff", 400, "SerializationException"),
        (b"Action=SendMessage&QueueUrl=/q&MessageBody=%00", 400, "InvalidMessageContents"),
        (b"Action=SendMessage&QueueUrl=/q&MessageBody=\xc3\xbc", 400, "SerializationException"),
        (b"Action=SendMessage&QueueUrl=/q&MessageBody=x&DelaySeconds=soon", 400, "SerializationException"),
        (b"Action=SendMessage&QueueUrl=/q&MessageBody=x&DelaySeconds=901", 400, "InvalidParameterValue"),
        (b"Action=SendMessage&QueueUrl=/q&MessageBody=x&MessageAttribute=y", 400, "SerializationException"),
        (b"Action=SendMessage&QueueUrl=/q&MessageBody=x&MessageAttribute.a.b=y", 400, "SerializationException"),
        (b"Action=SendMessage&QueueUrl=/q&MessageBody=x&MessageAttribute.1=y", 400, "InvalidParameterValue"),
        (b"Action=ReceiveMessage&QueueUrl=/q&AttributeName=a&AttributeName.1=b", 400, "SerializationException"),
        (b"Action=SendMessageBatch&QueueUrl=/q&Entries=", 400, "AWS.SimpleQueueService.EmptyBatchRequest"),
        (b"Action=SendMessageBatch&QueueUrl=/q&SendMessageBatchRequestEntry.1=x", 400, "SerializationException"),
        (b"Action=ListQueues&" + b"a" + b".a" * 1000 + b"=1", 400, "SerializationException"),
        (b"Action=ListQueues" + b"&a=1" * 10_000, 400, "SerializationException"),
    ],
    ids=lambda value: value[:70].decode("latin-1") if isinstance(value, bytes) else "",
)
def test_a_bad_form_is_an_error_of_its_sender(server: InProcessServer, form: bytes, status: int, code: str) -> None:
    got, document = ask_raw(server, form)
    assert got == status
    assert texts(document, "Error/Code") == [code]
    assert texts(document, "Error/Type") == ["Sender"]
    assert texts(document, "Error/Message")[0]
    assert not server.service.store.queues["q"].messages


def test_a_web_page_cannot_send(server: InProcessServer) -> None:
    origin = "Origin: https://pages.example\r\n"
    status, document = ask(server, headers=origin, Action="SendMessage", QueueUrl=URL, MessageBody="x")
    assert (status, texts(document, "Error/Code")) == (403, ["AccessDenied"])
    assert not server.service.store.queues["q"].messages


def test_both_protocols_may_share_a_connection(server: InProcessServer) -> None:
    form = b"Action=ListQueues"
    kind = "Content-Type: application/x-www-form-urlencoded\r\n"
    older = f"POST / HTTP/1.1\r\nHost: localhost\r\n{kind}Content-Length: {len(form)}\r\n\r\n".encode() + form
    today = b"POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: AmazonSQS.ListQueues\r\nContent-Length: 2\r\n\r\n{}"
    connection, wire = server.connect()
    for data in (older, today, older):
        feed(connection, data)
    kinds = [part.split(b"\r\n")[0] for part in wire.written.split(b"Content-Type: ")[1:]]
    assert kinds == [b"text/xml", b"application/x-amz-json-1.0", b"text/xml"]
