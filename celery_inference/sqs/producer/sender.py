"""Sending: one message a call, or ten messages or 1 MiB a call and several calls at once."""

import uuid
from typing import Any

from celery_inference.sqs.api.clients import SqsClients
from celery_inference.sqs.claim_check.claim_check import ClaimCheck
from celery_inference.sqs.errors import (
    DelayRefusedError,
    MessageTooLargeError,
)
from celery_inference.sqs.lanes import Lane
from celery_inference.sqs.messages import delays
from celery_inference.sqs.messages.envelope import encode, pack_body, unescape
from celery_inference.sqs.messages.size import inline_limit_bytes, message_bytes

# Properties that say how to send; they are no part of the envelope.
_GROUP = ("MessageGroupId", "tenant")
_DEDUPLICATION = "MessageDeduplicationId"
_ATTRIBUTES = "message_attributes"


class Sender:
    """Sends to one queue. Thread-safe, blocks, raises errors of `celery_inference.sqs.errors`."""

    def __init__(
        self, clients: SqsClients, queue: str, url: str, lane: Lane | None, claims: ClaimCheck | None = None
    ) -> None:
        self.clients = clients
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
        client = self.clients.client
        self.clients.call("SendMessage", self.queue, client.send_message, QueueUrl=self.url, **parameters)
