"""Copies of a message that take its place on its queue: for the rest of a delay, or with receives to spare."""

from typing import Any

from sqs import delays, limits
from sqs.dead_letters import REASON_ATTRIBUTE, Mark, mark_of
from sqs.deliveries import Delivery


def fresh(delivery: Delivery, seconds: float) -> dict[str, Any]:
    """SendMessage's parameters for the same message with receives to spare, marked as one that has been here."""
    parameters = postponed(delivery, seconds)
    attributes = parameters["MessageAttributes"]
    if REASON_ATTRIBUTE in attributes or len(attributes) < limits.MAX_MESSAGE_ATTRIBUTES:
        mark = mark_of(attributes)
        again = Mark(mark.generation, mark.returns + 1, mark.first_sent_at or delivery.sent_at)
        parameters["MessageAttributes"] = {**attributes, REASON_ATTRIBUTE: again.attribute()}
    return parameters


def postponed(delivery: Delivery, left: float) -> dict[str, Any]:
    """SendMessage's parameters for the same message with the rest of its delay."""
    parameters: dict[str, Any] = {
        "QueueUrl": delivery.queue_url,
        "MessageBody": delivery.body,
        "MessageAttributes": delivery.attributes,
        "DelaySeconds": delays.delay_seconds(left),
    }
    group = delivery.system_attributes.get("MessageGroupId")
    if group is not None:
        parameters["MessageGroupId"] = group
    return parameters
