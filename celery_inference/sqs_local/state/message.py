"""One message and where it is in its life."""

from __future__ import annotations

from typing import Any, Final

READY: Final = 0
DELAYED: Final = 1
IN_FLIGHT: Final = 2
GONE: Final = 3  # deleted, expired, purged or moved: heaps that still hold it skip it

MessageRow = list[Any]
_PLAIN_FIELDS: Final = 5  # of a row that says nothing of deliveries, delay, group and attributes


class StoredMessage:
    """A message. Times are milliseconds since the epoch; 0 stands for never.

    `sequence` orders all messages of a store; `due_ms` is when a delay or a lease ends; `segment` is the part of the
    journal that holds the newest full copy; `counted_from` is the receive count with which it came to its queue.
    """

    __slots__ = (
        "attributes",
        "attributes_md5",
        "body",
        "body_md5",
        "counted_from",
        "dedup_id",
        "due_ms",
        "first_received_ms",
        "group",
        "id",
        "receive_count",
        "received_ms",
        "segment",
        "sent_ms",
        "sequence",
        "source_arn",
        "state",
        "trace_header",
    )

    def __init__(self, id_: str, sequence: int, sent_ms: int, body: str, body_md5: str) -> None:
        self.id = id_
        self.sequence = sequence
        self.sent_ms = sent_ms
        self.body = body
        self.body_md5 = body_md5
        self.attributes: dict[str, dict[str, str]] | None = None
        self.attributes_md5: str | None = None
        self.trace_header: str | None = None
        self.group: str | None = None
        self.dedup_id: str | None = None
        self.source_arn: str | None = None
        self.receive_count = 0
        self.counted_from = 0
        self.first_received_ms = 0
        self.received_ms = 0
        self.due_ms = 0
        self.state = READY
        self.segment = 0

    def __lt__(self, other: StoredMessage) -> bool:
        """For heaps, where one message may stand twice with the same time."""
        return self.sequence < other.sequence

    def become_dead_letter(self, source_arn: str, enqueued_ms: int | None) -> None:
        """Ready in a dead-letter queue, where limits count anew. `enqueued_ms`: of a FIFO queue, when it is moved.

        A FIFO queue's message is then as old as its move, and its own id keeps it apart from others that were sent
        under the same deduplication id (SQSDeveloperGuide/setting-up-dead-letter-queue-retention and
        sqs-configure-dead-letter-queue-redrive).
        """
        self.state = READY
        self.counted_from = self.receive_count
        self.source_arn = source_arn
        if enqueued_ms is not None:
            self.sent_ms = enqueued_ms
            self.dedup_id = self.id

    def content_bytes(self) -> int:
        """Body, attributes and trace header in UTF-8, which JSON's escapes may double."""
        size_bytes = len(self.body) if self.body.isascii() else len(self.body.encode())
        if self.trace_header is not None:
            size_bytes += len(self.trace_header.encode())
        for name, attribute in (self.attributes or {}).items():
            size_bytes += len(name) + sum(len(field) + len(value.encode()) for field, value in attribute.items())
        return size_bytes

    def row(self) -> MessageRow:
        """Everything but the segment, as the journal keeps it. A lease keeps running by `due_ms`.

        Of a message as most are sent, without all that it has not.
        """
        if not (
            self.due_ms
            or self.state
            or self.received_ms
            or self.receive_count
            or self.attributes
            or self.group
            or self.dedup_id
            or self.trace_header
            or self.source_arn
        ):
            return [self.id, self.sequence, self.sent_ms, self.body, self.body_md5]
        return [
            self.id,
            self.sequence,
            self.sent_ms,
            self.body,
            self.body_md5,
            self.attributes,
            self.attributes_md5,
            self.trace_header,
            self.group,
            self.dedup_id,
            self.source_arn,
            self.receive_count,
            self.counted_from,
            self.first_received_ms,
            self.received_ms,
            self.due_ms,
            self.state,
        ]

    @classmethod
    def from_row(cls, row: MessageRow) -> StoredMessage:
        message = cls(row[0], row[1], row[2], row[3], row[4])
        if len(row) == _PLAIN_FIELDS:
            return message
        (
            message.attributes,
            message.attributes_md5,
            message.trace_header,
            message.group,
            message.dedup_id,
            message.source_arn,
            message.receive_count,
            message.counted_from,
            message.first_received_ms,
            message.received_ms,
            message.due_ms,
            message.state,
        ) = row[5:]
        return message
