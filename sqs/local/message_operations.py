"""The operations on messages: one at a time and in batches."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeVar

from sqs import limits
from sqs.local import digest, fields, message_attributes
from sqs.local.errors import SqsError, in_batch, invalid, invalid_value, missing
from sqs.local.fields import Params
from sqs.local.operations import Answer, Call
from sqs.local.queue import Queue
from sqs.local.receiving import shown_sequence
from sqs.local.store import Draft

Entry = TypeVar("Entry")


def send_message(call: Call) -> Answer:
    queue = call.queue()
    draft, size_bytes = _draft(call.params, queue)
    if size_bytes > queue.settings.max_bytes:
        most = queue.settings.max_bytes
        raise invalid(f"One or more parameters are invalid. Reason: Message must be shorter than {most} bytes.")
    return _sent(call, queue, draft)


def send_message_batch(call: Call) -> Answer:
    queue = call.queue()
    drafts: list[tuple[str, Draft | SqsError]] = []
    total_bytes = 0
    for entry in fields.entries(call.params, "SendMessageBatchRequestEntry"):
        try:
            draft, size_bytes = _draft(entry, queue)
        except SqsError as error:
            drafts.append((entry["Id"], error))
            continue
        total_bytes += size_bytes
        if size_bytes > queue.settings.max_bytes:
            most = queue.settings.max_bytes
            reason = f"One or more parameters are invalid. Reason: Message must be shorter than {most} bytes."
            drafts.append((entry["Id"], invalid(reason)))
        else:
            drafts.append((entry["Id"], draft))
    if total_bytes > limits.MAX_MESSAGE_BYTES:
        most = limits.MAX_MESSAGE_BYTES
        reason = f"Batch requests cannot be longer than {most} bytes. You have sent {total_bytes} bytes."
        raise in_batch("BatchRequestTooLong", reason)

    def each(draft: Draft | SqsError) -> Answer:
        if isinstance(draft, SqsError):
            raise draft
        return _sent(call, queue, draft)

    return _batch(drafts, each)


def _draft(params: Params, queue: Queue) -> tuple[Draft, int]:
    body = fields.text(params, "MessageBody")
    encoded = fields.encoded_body(body)
    draft = Draft(body, digest.of_body(encoded))
    attribute_bytes = 0
    # Most messages are a body, beside an Id or a QueueUrl.
    if len(params) > 2:
        attribute_bytes = _add_options(draft, params)
    if queue.settings.fifo:
        _check_fifo(draft, queue, encoded)
    elif draft.dedup_id is not None:
        reason = "The request include parameter that is not valid for this queue type"
        raise invalid_value(draft.dedup_id, "MessageDeduplicationId", reason)
    return draft, len(encoded) + attribute_bytes


def _add_options(draft: Draft, params: Params) -> int:
    """What else the sender has said; gives the size of the message attributes in bytes."""
    draft.attributes, attribute_bytes = message_attributes.checked(params.get("MessageAttributes"))
    draft.attributes_md5 = digest.of_attributes(draft.attributes) if draft.attributes else None
    draft.trace_header = message_attributes.trace_header(params.get("MessageSystemAttributes"))
    draft.group = fields.group_or_dedup_id(params, "MessageGroupId")
    draft.dedup_id = fields.group_or_dedup_id(params, "MessageDeduplicationId")
    delay_seconds = fields.whole(params, "DelaySeconds", 0, limits.MAX_DELAY_SECONDS)
    draft.delay_ms = None if delay_seconds is None else delay_seconds * 1000
    return attribute_bytes


def _check_fifo(draft: Draft, queue: Queue, encoded: bytes) -> None:
    if draft.group is None:
        raise missing("MessageGroupId")
    if draft.delay_ms:
        reason = "The request include parameter that is not valid for this queue type."
        raise invalid_value(draft.delay_ms // 1000, "DelaySeconds", reason)
    draft.delay_ms = None
    if draft.dedup_id is None:
        if not queue.settings.content_dedup:
            raise invalid(
                "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided"
                " explicitly"
            )
        draft.dedup_id = hashlib.sha256(encoded).hexdigest()


def _sent(call: Call, queue: Queue, draft: Draft) -> Answer:
    message_id, sequence = call.store.send(queue, draft, call.now_ms)
    answer: Answer = {"MD5OfMessageBody": draft.body_md5, "MessageId": message_id}
    if draft.attributes_md5:
        answer["MD5OfMessageAttributes"] = draft.attributes_md5
    if draft.trace_header:
        header = {"AWSTraceHeader": {"DataType": "String", "StringValue": draft.trace_header}}
        answer["MD5OfMessageSystemAttributes"] = digest.of_attributes(header)
    if queue.settings.fifo:
        answer["SequenceNumber"] = shown_sequence(sequence)
    return answer


def delete_message(call: Call) -> Answer:
    call.store.delete(call.queue(), fields.text(call.params, "ReceiptHandle"))
    return {}


def delete_message_batch(call: Call) -> Answer:
    queue = call.queue()

    def each(entry: Params) -> Answer:
        call.store.delete(queue, fields.text(entry, "ReceiptHandle"))
        return {}

    return _each(call, "DeleteMessageBatchRequestEntry", each)


def change_message_visibility(call: Call) -> Answer:
    _change_visibility(call, call.queue(), call.params)
    return {}


def change_message_visibility_batch(call: Call) -> Answer:
    queue = call.queue()

    def each(entry: Params) -> Answer:
        _change_visibility(call, queue, entry)
        return {}

    return _each(call, "ChangeMessageVisibilityBatchRequestEntry", each)


def _change_visibility(call: Call, queue: Queue, params: Params) -> None:
    handle = fields.text(params, "ReceiptHandle")
    seconds = fields.whole(params, "VisibilityTimeout", 0, limits.MAX_VISIBILITY_SECONDS)
    if seconds is None:
        raise missing("VisibilityTimeout")
    call.store.change_visibility(queue, handle, seconds, call.now_ms)


def _each(call: Call, kind: str, act: Callable[[Params], Answer]) -> Answer:
    return _batch([(entry["Id"], entry) for entry in fields.entries(call.params, kind)], act)


def _batch(given: Iterable[tuple[str, Entry]], act: Callable[[Entry], Answer]) -> Answer:
    """Each entry succeeds or fails alone."""
    done: list[Answer] = []
    failed: list[Answer] = []
    for id_, entry in given:
        try:
            done.append({"Id": id_, **act(entry)})
        except SqsError as error:
            failed.append(
                {
                    "Id": id_,
                    "SenderFault": not error.receiver_fault,
                    "Code": error.query_code,
                    "Message": error.message,
                }
            )
    answer: Answer = {"Successful": done}
    if failed:
        answer["Failed"] = failed
    return answer


MESSAGE_OPERATIONS: Final[Mapping[str, Callable[[Call], Answer]]] = {
    "SendMessage": send_message,
    "SendMessageBatch": send_message_batch,
    "DeleteMessage": delete_message,
    "DeleteMessageBatch": delete_message_batch,
    "ChangeMessageVisibility": change_message_visibility,
    "ChangeMessageVisibilityBatch": change_message_visibility_batch,
}
