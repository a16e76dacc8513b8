"""The operations on messages: one at a time and in batches."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from celery_inference.sqs_local import limits
from celery_inference.sqs_local.http import validation
from celery_inference.sqs_local.http.errors import ApiError, in_batch, invalid, invalid_value, missing
from celery_inference.sqs_local.http.validation import Params
from celery_inference.sqs_local.operations import message_attributes
from celery_inference.sqs_local.operations.queues import Answer, Call
from celery_inference.sqs_local.operations.receive import shown_sequence
from celery_inference.sqs_local.state import checksums
from celery_inference.sqs_local.state.message import StoredMessage
from celery_inference.sqs_local.state.queue import LocalQueue


def send_message(call: Call) -> Answer:
    queue = call.queue()
    message, delay_ms, size_bytes = _draft(call.params, queue)
    _check_size(size_bytes, queue)
    return _sent(call, queue, message, delay_ms, message_attributes.trace_header_of_request(call.request.headers))


def send_message_batch(call: Call) -> Answer:
    queue = call.queue()
    drafts: list[tuple[str, StoredMessage, int | None]] = []
    failed: list[Answer] = []
    total_bytes = 0
    entries = validation.entries(call.params, "SendMessageBatchRequestEntry")
    if queue.settings.fifo:
        _check_fifo_batch(entries, queue)
    for entry in entries:
        try:
            message, delay_ms, size_bytes = _draft(entry, queue)
            total_bytes += size_bytes
            _check_size(size_bytes, queue)
            drafts.append((entry["Id"], message, delay_ms))
        except ApiError as error:
            failed.append(_failure(entry["Id"], error))
    if total_bytes > limits.MAX_MESSAGE_BYTES:
        most = limits.MAX_MESSAGE_BYTES
        reason = f"Batch requests cannot be longer than {most} bytes. You have sent {total_bytes} bytes."
        raise in_batch("BatchRequestTooLong", reason)
    done = []
    trace_header = message_attributes.trace_header_of_request(call.request.headers)
    for id_, message, delay_ms in drafts:
        answer = _sent(call, queue, message, delay_ms, trace_header)
        answer["Id"] = id_
        done.append(answer)
    return _batch_answer(done, failed)


def _check_size(size_bytes: int, queue: LocalQueue) -> None:
    most = queue.settings.max_bytes
    if size_bytes > most:
        raise invalid(f"One or more parameters are invalid. Reason: Message must be shorter than {most} bytes.")


def _draft(params: Params, queue: LocalQueue) -> tuple[StoredMessage, int | None, int]:
    """A checked message, yet without id and times; its delay in ms where one was given; its size in bytes."""
    body = validation.text(params, "MessageBody")
    encoded = validation.encoded_body(body)
    message = StoredMessage("", 0, 0, body, checksums.of_body(encoded))
    attribute_bytes, delay_ms = 0, None
    # Most messages are a body, beside an Id or a QueueUrl.
    if len(params) > 2:
        attribute_bytes, delay_ms = _add_options(message, params)
    if queue.settings.fifo:
        _check_fifo(message, delay_ms, queue, encoded)
        delay_ms = None
    elif message.dedup_id is not None:
        reason = "The request include parameter that is not valid for this queue type"
        raise invalid_value(message.dedup_id, "MessageDeduplicationId", reason)
    return message, delay_ms, len(encoded) + attribute_bytes


def _add_options(message: StoredMessage, params: Params) -> tuple[int, int | None]:
    """What else the sender has said; gives the size of the message attributes in bytes, and the delay in ms."""
    message.attributes, attribute_bytes = message_attributes.checked(params.get("MessageAttributes"))
    message.attributes_md5 = checksums.of_attributes(message.attributes) if message.attributes else None
    message.trace_header = message_attributes.trace_header(params.get("MessageSystemAttributes"))
    message.group = validation.group_or_dedup_id(params, "MessageGroupId")
    message.dedup_id = validation.group_or_dedup_id(params, "MessageDeduplicationId")
    delay_seconds = validation.whole(params, "DelaySeconds", 0, limits.MAX_DELAY_SECONDS)
    return attribute_bytes, None if delay_seconds is None else delay_seconds * 1000


def _check_fifo(message: StoredMessage, delay_ms: int | None, queue: LocalQueue, encoded: bytes) -> None:
    if message.group is None:
        raise missing("MessageGroupId")
    if delay_ms:
        reason = "The request include parameter that is not valid for this queue type."
        raise invalid_value(delay_ms // 1000, "DelaySeconds", reason)
    if message.dedup_id is None:
        if not queue.settings.content_dedup:
            raise _no_dedup_id()
        message.dedup_id = hashlib.sha256(encoded).hexdigest()


def _check_fifo_batch(entries: Sequence[Params], queue: LocalQueue) -> None:
    """What a FIFO queue cannot do without refuses the whole batch, not the entry that lacks it alone."""
    for entry in entries:
        if entry.get("MessageGroupId") is None:
            raise invalid(missing("MessageGroupId").message)
        if entry.get("MessageDeduplicationId") is None and not queue.settings.content_dedup:
            raise _no_dedup_id()


def _no_dedup_id() -> ApiError:
    return invalid(
        "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"
    )


def _sent(
    call: Call, queue: LocalQueue, message: StoredMessage, delay_ms: int | None, trace_header: str | None
) -> Answer:
    """`trace_header`: of the request, for a message that has none of its own; it adds no sum to the answer."""
    given_header = message.trace_header
    if given_header is None:
        message.trace_header = trace_header
    message_id, sequence = call.store.send(queue, message, call.now_ms, delay_ms)
    answer: Answer = {"MD5OfMessageBody": message.body_md5, "MessageId": message_id}
    if message.attributes_md5:
        answer["MD5OfMessageAttributes"] = message.attributes_md5
    if given_header:
        header = {"AWSTraceHeader": {"DataType": "String", "StringValue": given_header}}
        answer["MD5OfMessageSystemAttributes"] = checksums.of_attributes(header)
    if queue.settings.fifo:
        answer["SequenceNumber"] = shown_sequence(sequence)
    return answer


def delete_message(call: Call) -> Answer:
    call.store.delete(call.queue(), validation.text(call.params, "ReceiptHandle"))
    return {}


def delete_message_batch(call: Call) -> Answer:
    queue = call.queue()
    delete = call.store.delete
    return _each(
        call, "DeleteMessageBatchRequestEntry", lambda entry: delete(queue, validation.text(entry, "ReceiptHandle"))
    )


def change_message_visibility(call: Call) -> Answer:
    _change_visibility(call, call.queue(), call.params)
    return {}


def change_message_visibility_batch(call: Call) -> Answer:
    queue = call.queue()
    kind = "ChangeMessageVisibilityBatchRequestEntry"
    return _each(call, kind, lambda entry: _change_visibility(call, queue, entry))


def _change_visibility(call: Call, queue: LocalQueue, params: Params) -> None:
    handle = validation.text(params, "ReceiptHandle")
    seconds = validation.whole(params, "VisibilityTimeout", 0, limits.MAX_VISIBILITY_SECONDS)
    if seconds is None:
        raise missing("VisibilityTimeout")
    call.store.change_visibility(queue, handle, seconds, call.now_ms)


def _each(call: Call, kind: str, act: Callable[[Params], None]) -> Answer:
    """Each entry succeeds or fails alone."""
    done: list[Answer] = []
    failed: list[Answer] = []
    for entry in validation.entries(call.params, kind):
        try:
            act(entry)
            done.append({"Id": entry["Id"]})
        except ApiError as error:
            failed.append(_failure(entry["Id"], error))
    return _batch_answer(done, failed)


def _failure(id_: str, error: ApiError) -> Answer:
    return {
        "Id": id_,
        "SenderFault": not error.receiver_fault,
        "Code": error.query_code,
        "Message": error.message,
    }


def _batch_answer(done: list[Answer], failed: list[Answer]) -> Answer:
    return {"Successful": done, "Failed": failed} if failed else {"Successful": done}


MESSAGE_OPERATIONS: Final[Mapping[str, Callable[[Call], Answer]]] = {
    "SendMessage": send_message,
    "SendMessageBatch": send_message_batch,
    "DeleteMessage": delete_message,
    "DeleteMessageBatch": delete_message_batch,
    "ChangeMessageVisibility": change_message_visibility,
    "ChangeMessageVisibilityBatch": change_message_visibility_batch,
}
