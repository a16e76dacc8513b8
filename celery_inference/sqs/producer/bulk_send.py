"""Many messages: ten or 1 MiB a call, several calls at once, each failure named."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from celery_inference.sqs import limits
from celery_inference.sqs.errors import RefusedError, SqsError, UnavailableError, is_passing
from celery_inference.sqs.messages.size import message_bytes
from celery_inference.sqs.producer.sender import Sender

CALLS_AT_ONCE = 4


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
    function = sender.clients.client.send_message_batch
    try:
        answer = sender.clients.call("SendMessageBatch", sender.queue, function, QueueUrl=sender.url, Entries=entries)
    except SqsError as exc:
        return [NotSent(index, exc) for index in indexes]
    return [NotSent(int(failed["Id"]), _entry_error(sender.queue, failed)) for failed in answer.get("Failed", [])]


def _entry_error(queue: str, failed: dict[str, Any]) -> SqsError:
    code, text = str(failed.get("Code", "")), str(failed.get("Message", ""))
    if is_passing(code) or not failed.get("SenderFault", True):
        return UnavailableError("SendMessageBatch", queue, f"{code}: {text}")
    return RefusedError("SendMessageBatch", queue, code, text)
