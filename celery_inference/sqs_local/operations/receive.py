"""ReceiveMessage: what was asked for, and how messages are shown to who asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from celery_inference.sqs_local import limits
from celery_inference.sqs_local.http import validation
from celery_inference.sqs_local.http.errors import unknown_attribute
from celery_inference.sqs_local.operations import message_attributes
from celery_inference.sqs_local.operations.queues import Answer, Call
from celery_inference.sqs_local.state import checksums, receipt_handles
from celery_inference.sqs_local.state.message import StoredMessage
from celery_inference.sqs_local.state.queue import LocalQueue
from celery_inference.sqs_local.state.store import QueueStore

SENDER_ID: Final = "AIDALOCALSQSSERVER000"
_SYSTEM_ATTRIBUTES: Final = frozenset(
    (
        "All",
        "ApproximateFirstReceiveTimestamp",
        "ApproximateReceiveCount",
        "AWSTraceHeader",
        "DeadLetterQueueSourceArn",
        "MessageDeduplicationId",
        "MessageGroupId",
        "SenderId",
        "SentTimestamp",
        "SequenceNumber",
        "SqsManagedSseEnabled",  # may be asked for, and no message has it
    )
)


@dataclass(slots=True)
class ReceiveRequest:
    """A checked ReceiveMessage. `wait_seconds` is how long to wait for a first message."""

    queue_name: str
    count: int
    visibility_ms: int
    wait_seconds: int
    system_attributes: frozenset[str]
    attributes: list[str]
    attempt: str | None

    @classmethod
    def of(cls, call: Call) -> ReceiveRequest:
        params = call.params
        queue = call.queue()
        count = validation.whole(params, "MaxNumberOfMessages", 1, limits.MAX_BATCH_ENTRIES)
        visibility = validation.whole(params, "VisibilityTimeout", 0, limits.MAX_VISIBILITY_SECONDS)
        wait = validation.whole(params, "WaitTimeSeconds", 0, limits.MAX_RECEIVE_WAIT_SECONDS)
        # AttributeNames is the older spelling of MessageSystemAttributeNames.
        wanted = validation.texts(params, "AttributeNames") + validation.texts(params, "MessageSystemAttributeNames")
        for name in wanted:
            if name not in _SYSTEM_ATTRIBUTES:
                raise unknown_attribute(name)
        return cls(
            queue_name=queue.name,
            count=1 if count is None else count,
            visibility_ms=queue.settings.visibility_ms if visibility is None else visibility * 1000,
            wait_seconds=queue.settings.wait_seconds if wait is None else wait,
            system_attributes=frozenset(wanted),
            attributes=validation.texts(params, "MessageAttributeNames"),
            attempt=validation.group_or_dedup_id(params, "ReceiveRequestAttemptId") if queue.settings.fifo else None,
        )

    def receive(self, store: QueueStore, queue: LocalQueue, now_ms: int) -> list[StoredMessage]:
        return store.receive(queue, self.count, self.visibility_ms, now_ms, self.attempt)

    def answer(self, messages: list[StoredMessage]) -> Answer:
        return {"Messages": [self._shown(message) for message in messages]} if messages else {}

    def _shown(self, message: StoredMessage) -> Answer:
        shown: Answer = {
            "MessageId": message.id,
            "ReceiptHandle": receipt_handles.encode(self.queue_name, message.id, message.receive_count),
            "MD5OfBody": message.body_md5,
            "Body": message.body,
        }
        if self.system_attributes:
            attributes = self._system_attributes(message)
            if attributes:
                shown["Attributes"] = attributes
        if self.attributes and message.attributes:
            chosen = message_attributes.chosen(message.attributes, self.attributes)
            if chosen:
                shown["MessageAttributes"] = chosen
                whole = len(chosen) == len(message.attributes)
                shown["MD5OfMessageAttributes"] = message.attributes_md5 if whole else checksums.of_attributes(chosen)
        return shown

    def _system_attributes(self, message: StoredMessage) -> dict[str, str]:
        known = {
            "SenderId": SENDER_ID,
            "SentTimestamp": str(message.sent_ms),
            "ApproximateReceiveCount": str(message.receive_count),
            "ApproximateFirstReceiveTimestamp": str(message.first_received_ms),
            "AWSTraceHeader": message.trace_header,
            "DeadLetterQueueSourceArn": message.source_arn,
            "MessageGroupId": message.group,
            "MessageDeduplicationId": message.dedup_id,
            "SequenceNumber": shown_sequence(message.sequence) if self.queue_name.endswith(".fifo") else None,
        }
        every = "All" in self.system_attributes
        return {
            name: value
            for name, value in known.items()
            if value is not None and (every or name in self.system_attributes)
        }


def shown_sequence(sequence: int) -> str:
    """20 digits, as SQS shows them."""
    return f"{10**19 + sequence}"
