"""What is published within `Producer.batch()`, sent together."""

from dataclasses import dataclass, field
from typing import Any

from celery_inference.sqs.producer.bulk_send import BulkSendError, NotSent, send_many
from celery_inference.sqs.producer.sender import Sender

# What is gathered is in memory; 64 calls of SQS.
MAX_GATHERED_BYTES = 64 * 1024 * 1024


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
        self._bytes = 0
        self._published = 0

    def publish(self, message: dict[str, Any], exchange: str = "", routing_key: str = "", **_: Any) -> None:
        """Gather one message; sends what is gathered when that is enough. Refuses at once what is too large.

        Commands and events go as they go otherwise.
        """
        if not self.channel.goes_to_lanes(exchange):
            self.channel.basic_publish(message, exchange, routing_key)
            return
        self.channel._inplace_augment_message(message, exchange, routing_key)
        queues = self.channel._lookup(exchange, routing_key) if exchange else [routing_key]
        place, self._published = self._published, self._published + 1
        for queue in queues:
            if queue not in self._pending:
                self._pending[queue] = _Gathered(self.channel.sender(queue))
            gathered = self._pending[queue]
            parameters = gathered.sender.parameters(message)
            gathered.parameters.append(parameters)
            self._bytes += len(parameters["MessageBody"])
            gathered.names.append((place, message["properties"].get("correlation_id")))
            self._count += 1
        if self._count >= self._max_size or self._bytes >= MAX_GATHERED_BYTES:
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
        self._pending, self._count, self._bytes = {}, 0, 0

    def close(self) -> None:
        """End the session."""
        self.discard()
