"""The kombu message of a delivery, and what looks at messages before their consumer does."""

import json
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from kombu import message as kombu_message
from kombu.exceptions import ContentDisallowed, DecodeError

from celery_inference.sqs.consumer.deliveries import explain, release_after
from celery_inference.sqs.consumer.redelivery import seconds_until_known
from celery_inference.sqs.errors import UndecodableError
from celery_inference.sqs.messages.compression import unpacked
from celery_inference.sqs.messages.delivery import Delivery
from celery_inference.sqs.messages.reason import Reason, mark_of
from celery_inference.sqs.messages.validation import check_payload, following_in

logger = logging.getLogger(__name__)

# How kombu marks values that JSON has no type for, and how that can be written with escapes.
_TYPE_MARK, _ESCAPED_MARK = b"__type__", b"\\u005"


class Message(kombu_message.Message):
    """A received message.

    `delivery_info` holds, besides exchange and routing key, `delivery_count` (SQS's own count of receives,
    this one included), `redelivered`, `message_id`, `sent_at` (SQS's clock, seconds since the
    epoch), `generation` (0, or one more for each time that it was redriven), `returns` (how often a copy took its
    place within its generation) and `earlier_deliveries` (of those copies).
    A message that turns out unreadable, or that the consumer does not take, explains itself before it is
    rejected; one that is acknowledged because it is unreadable is rejected, because acknowledging would lose it.
    """

    def __init__(self, delivery: Delivery, envelope: dict[str, Any], channel: Any) -> None:
        properties = envelope["properties"]
        properties["delivery_tag"] = delivery.tag
        info = properties["delivery_info"]
        info.setdefault("exchange", "")
        info.setdefault("routing_key", delivery.queue)
        info["delivery_count"] = delivery.count
        info["redelivered"] = delivery.count > 1
        info["message_id"] = delivery.message_id
        info["sent_at"] = delivery.sent_at
        mark = mark_of(delivery.attributes)
        info["generation"], info["returns"] = mark.generation, mark.returns
        info["earlier_deliveries"] = mark.deliveries
        self.delivery = delivery
        self.handed_over = False
        self.callback_thread: int | None = None  # in which the consumer is being given this message
        self.unreadable: Exception | None = None
        body, compression = envelope["body"], envelope["headers"].pop("compression", None)
        problem: Exception | None = None
        if compression:  # which kombu would unpack without a bound
            try:
                body = unpacked(body, compression)
            except UndecodableError as exc:
                problem = exc
        super().__init__(
            body=body,
            delivery_tag=delivery.tag,
            content_type=envelope.get("content-type"),
            content_encoding=envelope.get("content-encoding"),
            delivery_info=info,
            properties=properties,
            headers=envelope["headers"],
            channel=channel,
        )
        if problem is not None:
            self.refuse(problem)

    def _decode(self) -> Any:
        if self.unreadable is not None:
            raise DecodeError(str(self.unreadable))
        try:
            payload = json.loads(self.body.decode("utf-8")) if self._is_plain_json() else super()._decode()
            check_payload(self.headers, payload)
        except ContentDisallowed as exc:
            self.refuse(exc)
            raise
        except Exception as exc:
            self.refuse(exc)
            raise DecodeError(str(exc)) from exc
        if "task" in self.headers and payload[2] is None:  # which Celery looks into when a request has expired
            payload = [*payload[:2], {}]
        return payload

    def _is_plain_json(self) -> bool:
        """Whether Python's own decoder does: kombu's looks at each object for types of its own, and takes long."""
        return (
            self.content_type == "application/json"
            and (self.accept is None or self.content_type in self.accept)
            and isinstance(self.body, bytes)
            and _TYPE_MARK not in self.body
            and _ESCAPED_MARK not in self.body
        )

    def refuse(self, exc: Exception) -> None:
        """Take it for unreadable: nobody is to see its payload, and it is to be a dead letter."""
        self.unreadable = exc
        sentence = str(exc) if isinstance(exc, UndecodableError) else f"{type(exc).__name__}: {exc}"
        self._explain("UndecodableMessage", sentence)

    def _explain(self, error_type: str, text: str) -> None:
        if self.delivery.reason is None:
            task_id = self.headers.get("id")
            reason = Reason(
                error_type,
                text,
                attempts=0,
                worker=getattr(self.channel, "worker_name", None),
                task_id=task_id if isinstance(task_id, str) else None,
            )
            explain(self, reason)

    def ack(self, multiple: bool = False) -> None:
        """As kombu's, except for unreadable messages."""
        if self.unreadable is not None:
            self.reject()
        else:
            super().ack(multiple=multiple)

    def ack_ended(self) -> None:
        """Acknowledge one whose request has ended, whatever became of its payload."""
        super().ack()

    @property
    def following(self) -> dict[str, Any]:
        """What is to follow its task, as far as it can be read; also of an unreadable message."""
        try:
            return following_in(json.loads(self.body)[2])
        except (ValueError, LookupError, TypeError, RecursionError):
            return {}

    def reject(self, requeue: bool = False) -> None:
        """As kombu's; a rejection before the consumer's callback has returned means that it is no task of it."""
        if not requeue and self.callback_thread == threading.get_ident():
            task = self.headers.get("task")
            if task and self.unreadable is None and self.leave_to_newer():
                return
            self._explain("UnknownTask" if task else "NotATask", f"the worker does not know {task!r}" if task else "")
        super().reject(requeue=requeue)

    def leave_to_newer(self) -> bool:
        """Release a message that is not understood here, while its version window is open; False: it is over."""
        options = self.channel.options
        seconds = seconds_until_known(self, options.unknown_task_grace_seconds, options.lanes)
        if seconds is None:
            return False
        release_after(self, seconds)
        super().reject(requeue=True)
        return True

    def fail(self, exc: Exception) -> None:
        """Reject what the consumer's callback stumbled over."""
        if not self.acknowledged:
            self._explain("RefusedByWorker", f"{type(exc).__name__}: {exc}")
            super().reject(requeue=False)


# What is to be asked once for all messages of a receive, of which the consumer sees one at a time.
ON_RECEIVED: list[Callable[[Sequence[Message]], None]] = []


def publish_received(messages: Sequence[Message]) -> None:
    """Let all look, in the receiver's thread, before any of the messages is handed over. Never raises."""
    if not messages:
        return
    for look in ON_RECEIVED:
        try:
            look(messages)
        except Exception:
            logger.exception("%d messages could not be looked at before they are handed over", len(messages))
