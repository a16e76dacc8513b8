"""What leaves when a dead letter is sent back to a lane: the message as it was, with the mark of its new generation.

Two things are changed in its body, and only where they must be: the task's name, when the operator names another, and
a deadline that has passed, because a request sent again would only expire again.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from celery_inference.sqs import limits
from celery_inference.sqs.dead_letters.letter import DeadLetter
from celery_inference.sqs.errors import SqsError, UndecodableError
from celery_inference.sqs.lanes import Lane
from celery_inference.sqs.messages import envelope
from celery_inference.sqs.messages.reason import REASON_ATTRIBUTE, Mark
from celery_inference.sqs.messages.size import message_bytes

DEADLINE_MARGIN_SECONDS = 3_600  # before SQS itself drops the message


class NotSendableError(SqsError, ValueError):
    """A dead letter that cannot go to a lane as it is."""


def resend_parameters(
    letter: DeadLetter, lane: Lane, mark: Mark, *, letter_id: str, task: str | None = None, renew: bool = True
) -> dict[str, Any]:
    """SendMessage's parameters, without the URL, for a copy of the letter on this lane.

    Without `renew` it keeps its deadline.

    Raises:
        NotSendableError: one sentence that says why SQS would not take it, or why it cannot have another task.
    """
    queue = lane.queue
    lifetime_seconds = max(queue.retention_seconds - DEADLINE_MARGIN_SECONDS, queue.retention_seconds / 2)
    body = _renewed(letter.body, task, lifetime_seconds) if renew or task else letter.body
    attributes = letter.attributes | {REASON_ATTRIBUTE: mark.attribute()}
    if len(attributes) > limits.MAX_MESSAGE_ATTRIBUTES:
        raise NotSendableError(f"it has {len(attributes) - 1} attributes of its own, and its generation needs one more")
    size = message_bytes(body, attributes)
    if size > queue.max_message_bytes:
        raise NotSendableError(
            f"it is {size:,} bytes with its mark; queue {queue.name} takes {queue.max_message_bytes:,}"
        )
    parameters: dict[str, Any] = {"MessageBody": body, "MessageAttributes": attributes}
    group = letter.reason.group if letter.reason else letter.group
    if group is not None:
        parameters["MessageGroupId"] = group
    if queue.fifo:
        parameters.setdefault("MessageGroupId", "default")
        # The same letter sent twice, as after a kill, is one message; one that fails again is another.
        parameters["MessageDeduplicationId"] = f"{letter_id[-100:]}-{mark.generation}-{mark.returns}"
    return parameters


def _renewed(body: str, task: str | None, lifetime_seconds: float) -> str:
    try:
        message = envelope.parsed(body)
        headers = message["headers"]
        expires = headers.get("expires")
    except (UndecodableError, LookupError, TypeError, AttributeError):
        if task is not None:
            raise NotSendableError("it cannot be read, and so cannot be given another task") from None
        return body
    late = _is_past(expires)
    if task is None and not late:
        return body
    if task is not None:
        headers["task"] = task
    if late:
        headers["expires"] = (datetime.now(UTC) + timedelta(seconds=lifetime_seconds)).isoformat()
    return envelope.encode(message)


def _is_past(expires: Any) -> bool:
    if not isinstance(expires, str):
        return False
    try:
        when = datetime.fromisoformat(expires)
    except ValueError:
        return False
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() <= time.time()
