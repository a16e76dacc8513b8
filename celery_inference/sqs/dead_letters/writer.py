"""What a worker sends to a dead-letter queue, and who in this process hears of it."""

import dataclasses
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from celery_inference.sqs import limits
from celery_inference.sqs.dead_letters.letter import DeadLetter, dead_letter_sent
from celery_inference.sqs.messages.reason import REASON_ATTRIBUTE, REASON_LIMIT_BYTES, Reason, mark_of
from celery_inference.sqs.messages.size import message_bytes

if TYPE_CHECKING:
    from celery_inference.sqs.messages.delivery import Delivery

logger = logging.getLogger(__name__)


def dead_letter_parameters(
    delivery: "Delivery", dead_letter_queue: str, dead_letter_limit_bytes: int
) -> dict[str, Any] | None:
    """SendMessage's parameters (without the URL) for a delivery's dead letter.

    None when the message cannot carry one more attribute, or has no room for the shortest reason: then
    SQS's own redrive has to bring it to the DLQ.
    """
    attributes = {name: value for name, value in delivery.attributes.items() if name != REASON_ATTRIBUTE}
    if len(attributes) >= limits.MAX_MESSAGE_ATTRIBUTES:
        return None
    reason = _complete(delivery)
    fixed_bytes = message_bytes(delivery.body, attributes) + len(REASON_ATTRIBUTE) + len("String")
    room = min(REASON_LIMIT_BYTES, dead_letter_limit_bytes - fixed_bytes)
    value = reason.to_json(room)
    if len(value) > room:
        return None
    attributes[REASON_ATTRIBUTE] = {"DataType": "String", "StringValue": value}
    parameters: dict[str, Any] = {"MessageBody": delivery.body, "MessageAttributes": attributes}
    group = delivery.system_attributes.get("MessageGroupId")
    if group is not None:
        parameters["MessageGroupId"] = group
    if dead_letter_queue.endswith(".fifo"):
        # A group of its own, because SQS shows only the first ten messages of a group to who takes none away. The
        # real one is in the reason.
        parameters["MessageGroupId"] = delivery.message_id
        # The same delivery written twice is one dead letter; a later generation of it is another.
        parameters["MessageDeduplicationId"] = f"{delivery.message_id}-{delivery.count}"
    return parameters


def _complete(delivery: "Delivery") -> Reason:
    """The reason of a delivery, with what its task need not know."""
    reason = delivery.reason or Reason("Rejected", "rejected without a stated reason", delivery.count)
    return dataclasses.replace(
        reason,
        message=first_line(reason.message),
        cause=reason.stated_cause,
        lane=reason.lane or delivery.queue,
        generation=mark_of(delivery.attributes).generation,
        failed_at=reason.failed_at or round(time.time(), 3),
        message_id=delivery.message_id or None,
        group=delivery.system_attributes.get("MessageGroupId"),
    )


def first_line(text: str) -> str:
    """The first line that says something."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


_listeners: list[Callable[[DeadLetter], None]] = []


def listen(listener: Callable[[DeadLetter], None]) -> None:
    """Hear of each letter that this process buries, once SQS has it and before its original is deleted.

    Called in a thread that settles deliveries, which must not be kept waiting.
    """
    if listener not in _listeners:
        _listeners.append(listener)


def publish_written(parameters: dict[str, Any], message_id: str) -> None:
    """Tell the listeners of a letter that was sent with these parameters and has this message id."""
    _publish(dead_letter_sent(parameters["MessageBody"], parameters.get("MessageAttributes", {}), message_id))


def publish_left(delivery: "Delivery") -> None:
    """Tell the listeners of a letter that cannot carry its reason: SQS itself moves it at its next receive."""
    letter = dead_letter_sent(delivery.body, delivery.attributes, delivery.message_id)
    _publish(
        dataclasses.replace(letter, reason=_complete(delivery), deliveries=delivery.count, sent_at=delivery.sent_at)
    )


def _publish(letter: DeadLetter) -> None:
    for listener in _listeners:
        try:
            listener(letter)
        except Exception:
            logger.exception("a dead letter is in its queue, and could not be noted")
