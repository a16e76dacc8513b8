"""Sending: one message a call, or ten messages or 1 MiB a call and several calls at once."""

import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from sqs import delays, limits
from sqs.account import Account
from sqs.burying import message_bytes
from sqs.claim_check import ClaimCheck
from sqs.dead_letters import REASON_ROOM_BYTES
from sqs.envelope import encode, pack_body, unescape
from sqs.errors import (
    DelayRefusedError,
    MessageTooLargeError,
    RefusedError,
    SqsError,
    UnavailableError,
    is_passing,
)
from sqs.lanes import Lane

CALLS_AT_ONCE = 4
# Properties that say how to send; they are no part of the envelope.
_GROUP = ("MessageGroupId", "tenant")
_DEDUPLICATION = "MessageDeduplicationId"
_ATTRIBUTES = "message_attributes"


def inline_limit_bytes(queue: str, lane: Lane | None) -> int:
    """The largest message that is sent to a queue of this lane, or of none: what the queue takes, and so much less than
    the dead-letter queue takes that a reason fits beside it.
    """
    if lane is None:
        return limits.MAX_MESSAGE_BYTES - REASON_ROOM_BYTES
    if lane.queue.name != queue:
        return lane.dead_letter_queue.max_message_bytes
    room = max(limits.MIN_MESSAGE_SIZE_SETTING_BYTES, lane.dead_letter_queue.max_message_bytes - REASON_ROOM_BYTES)
    return min(lane.queue.max_message_bytes, room)


class Sender:
    """Sends to one queue. Thread-safe, blocks, raises errors of `sqs.errors`."""

    def __init__(
        self, account: Account, queue: str, url: str, lane: Lane | None, claims: ClaimCheck | None = None
    ) -> None:
        self.account = account
        self.queue = queue
        self.url = url
        self._claims = claims
        self.limit_bytes = inline_limit_bytes(queue, lane)

    def parameters(self, message: dict[str, Any]) -> dict[str, Any]:
        """SendMessage's parameters, without the URL, for a kombu message.

        A payload that does not fit is put into the claim-check store first, where there is one. Raises
        MessageTooLargeError, DelayRefusedError, UndecodableError or ClaimStoreError.
        """
        headers, properties = message["headers"], dict(message["properties"])
        fifo = self.queue.endswith(".fifo")
        delay = delays.asked_delay(headers, properties)
        if delay and fifo:
            raise DelayRefusedError(self.queue)
        groups = [group for name in _GROUP if (group := properties.pop(name, None)) is not None]
        deduplication = properties.pop(_DEDUPLICATION, None)
        attributes = properties.pop(_ATTRIBUTES, None) or {}
        properties.pop("delivery_tag", None)
        body, properties["body_encoding"] = pack_body(message["body"])
        if message.get("content-type") == "application/json" and properties["body_encoding"] == "utf-8":
            body = unescape(body)
        packed = message | {"body": body, "properties": properties}
        text = encode(packed)
        size = message_bytes(text, attributes)
        if size > self.limit_bytes and self._claims is not None:
            text = encode(self._claims.check_in(packed, self.queue))
            size = message_bytes(text, attributes)
        if size > self.limit_bytes:
            raise MessageTooLargeError(self.queue, size, self.limit_bytes)
        parameters: dict[str, Any] = {"MessageBody": text}
        if attributes:
            parameters["MessageAttributes"] = attributes
        if delay:
            parameters["DelaySeconds"] = delay
        if groups or fifo:
            parameters["MessageGroupId"] = str(groups[0]) if groups else "default"
        if fifo:
            # The task id, so that a second send after a lost answer is not a second message; Celery's retry()
            # sends the same id anew, with one more retry.
            identity = properties.get("correlation_id")
            own = f"{identity}-{headers.get('retries') or 0}" if identity else uuid.uuid4()
            parameters["MessageDeduplicationId"] = str(deduplication or own)
        return parameters

    def send(self, message: dict[str, Any]) -> None:
        """Send one message."""
        parameters = self.parameters(message)
        client = self.account.client
        self.account.call("SendMessage", self.queue, client.send_message, QueueUrl=self.url, **parameters)


@dataclass(frozen=True, slots=True)
class NotSent:
    """A message of a bulk send that SQS did not accept; `index` is its place in what was given.

    Of a `Producer.batch()` that is its place among all that was published there; `queue` is where it was to go, and
    `task_id` what kombu calls its correlation id.
    """

    index: int
    error: SqsError
    queue: str = ""
    task_id: str | None = None


class BulkSendError(UnavailableError):
    """Some messages of a bulk send were not accepted; `failures` names each, all others were."""

    def __init__(self, failures: list[NotSent], total: int) -> None:
        queues = ", ".join(sorted({failure.queue for failure in failures}))
        cause = f"{len(failures)} of {total} messages were not accepted, the first because of {failures[0].error}"
        super().__init__("SendMessageBatch", queues, cause)
        self.failures = failures


def batches(parameters: Sequence[dict[str, Any]]) -> list[list[int]]:
    """Indexes grouped into calls of at most ten messages and 1 MiB, in order."""
    groups: list[list[int]] = []
    size = 0
    for index, parameter in enumerate(parameters):
        own = message_bytes(parameter["MessageBody"], parameter.get("MessageAttributes", {}))
        if not groups or len(groups[-1]) == limits.MAX_BATCH_ENTRIES or size + own > limits.MAX_MESSAGE_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(index)
        size += own
    return groups


def send_many(sender: Sender, parameters: Sequence[dict[str, Any]]) -> list[NotSent]:
    """Send all; returns every message that was not accepted, after one more try of those that may pass.

    Calls for a FIFO queue go one after the other, to keep the order.
    """
    groups = batches(parameters)
    at_once = 1 if sender.queue.endswith(".fifo") else min(CALLS_AT_ONCE, len(groups))
    if at_once <= 1:
        failed = [failure for group in groups for failure in _send_batch(sender, parameters, group)]
    else:
        with ThreadPoolExecutor(at_once, thread_name_prefix="sqs-send") as pool:
            results = pool.map(lambda group: _send_batch(sender, parameters, group), groups)
            failed = [failure for failures in results for failure in failures]
    return sorted(failed, key=lambda failure: failure.index)


def _send_batch(sender: Sender, parameters: Sequence[dict[str, Any]], group: list[int]) -> list[NotSent]:
    left, failures = group, []
    for last_try in (False, True):
        failures = _send_once(sender, parameters, left)
        passing = [failure.index for failure in failures if isinstance(failure.error, UnavailableError)]
        if last_try or not passing or len(passing) != len(failures):
            break
        left = passing
    return failures


def _send_once(sender: Sender, parameters: Sequence[dict[str, Any]], indexes: list[int]) -> list[NotSent]:
    entries = [{"Id": str(index), **parameters[index]} for index in indexes]
    function = sender.account.client.send_message_batch
    try:
        answer = sender.account.call("SendMessageBatch", sender.queue, function, QueueUrl=sender.url, Entries=entries)
    except SqsError as exc:
        return [NotSent(index, exc) for index in indexes]
    return [NotSent(int(failed["Id"]), _entry_error(sender.queue, failed)) for failed in answer.get("Failed", [])]


def _entry_error(queue: str, failed: dict[str, Any]) -> SqsError:
    code, text = str(failed.get("Code", "")), str(failed.get("Message", ""))
    if is_passing(code) or not failed.get("SenderFault", True):
        return UnavailableError("SendMessageBatch", queue, f"{code}: {text}")
    return RefusedError("SendMessageBatch", queue, code, text)


@dataclass(slots=True)
class _Gathered:
    """What is to be sent to one queue: parameters, and of each its place in the session and its task's id."""

    sender: Sender
    parameters: list[dict[str, Any]] = field(default_factory=list)
    names: list[tuple[int, str | None]] = field(default_factory=list)

    def send(self) -> list[NotSent]:
        """Send all; what was not accepted."""
        failures = send_many(self.sender, self.parameters)
        return [
            NotSent(self.names[each.index][0], each.error, self.sender.queue, self.names[each.index][1])
            for each in failures
        ]


class PublishBatch:
    """A batch session of kombu's `Producer.batch()`. One thread's."""

    def __init__(self, channel: Any, max_size: int) -> None:
        self.channel = channel
        self._max_size = max_size
        self._pending: dict[str, _Gathered] = {}
        self._count = 0
        self._published = 0

    def publish(self, message: dict[str, Any], exchange: str = "", routing_key: str = "", **_: Any) -> None:
        """Gather one message; sends what is gathered when that is enough. Refuses at once what is too large."""
        self.channel._inplace_augment_message(message, exchange, routing_key)
        queues = self.channel._lookup(exchange, routing_key) if exchange else [routing_key]
        place, self._published = self._published, self._published + 1
        for queue in queues:
            if queue not in self._pending:
                self._pending[queue] = _Gathered(self.channel.sender(queue))
            gathered = self._pending[queue]
            gathered.parameters.append(gathered.sender.parameters(message))
            gathered.names.append((place, message["properties"].get("correlation_id")))
            self._count += 1
        if self._count >= self._max_size:
            self.flush()

    def flush(self) -> None:
        """Send what is gathered, to every queue; raises BulkSendError that names each message that was not accepted."""
        pending, total = self._pending, self._count
        self.discard()
        failures = [failure for gathered in pending.values() for failure in gathered.send()]
        if failures:
            raise BulkSendError(sorted(failures, key=lambda failure: failure.index), total)

    def discard(self) -> None:
        """Forget what is gathered."""
        self._pending, self._count = {}, 0

    def close(self) -> None:
        """End the session."""
        self.discard()
