"""The kombu channel: publishing, and consuming with the semantics AMQP gives to ack and reject."""

import atexit
import logging
import os
import threading
import weakref
from collections.abc import Callable
from queue import Empty
from typing import Any

from amqp.protocol import queue_declare_ok_t  # type: ignore[import-untyped]
from kombu.exceptions import ChannelError
from kombu.transport import virtual

from celery_inference.sqs.api.clients import SqsClients
from celery_inference.sqs.consumer import message as messages
from celery_inference.sqs.consumer.consumer import ChannelConsumer
from celery_inference.sqs.consumer.shutdown import STOPPER
from celery_inference.sqs.errors import QueueMissingError, RefusedError, UnavailableError
from celery_inference.sqs.lanes import lane_of
from celery_inference.sqs.messages.delivery import Delivery
from celery_inference.sqs.options import TransportOptions
from celery_inference.sqs.producer.publish_batch import PublishBatch
from celery_inference.sqs.producer.sender import Sender
from celery_inference.sqs.queues.urls import queue_name, queue_url

logger = logging.getLogger(__name__)


class QoS(virtual.QoS):
    """kombu's handle on the prefetch count; what is unacknowledged is `ChannelConsumer`'s to know."""

    def __init__(self, channel: "Channel", prefetch_count: int = 0) -> None:
        self._channel = weakref.ref(channel)
        self._prefetch_count = prefetch_count
        self._dirty: set[str] = set()
        self._delivered: dict[str, Any] = {}

    @property
    def prefetch_count(self) -> int:
        """Deliveries that may be held at once, 0 for no limit."""
        return self._prefetch_count

    @prefetch_count.setter
    def prefetch_count(self, count: int) -> None:
        self._prefetch_count = count
        channel = self._channel()
        if channel is not None and channel.consuming is not None:
            channel.consuming.set_limit(count)

    def can_consume(self) -> bool:
        """Whether there is a free slot."""
        channel = self._channel()
        if channel is None or channel.consuming is None or not self._prefetch_count:
            return True
        return channel.consuming.held < self._prefetch_count

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """Release everything that is held."""
        channel = self._channel()
        if channel is not None and channel.consuming is not None:
            channel.consuming.release_all()

    restore_unacked = restore_unacked_once


class Channel(virtual.Channel):
    """A channel. Publishing uses the caller's thread; consuming starts threads at the first consumer."""

    Message = messages.Message
    QoS = QoS
    do_restore = False
    supports_batch_publish = True

    consuming: ChannelConsumer | None = None

    def __init__(self, connection: Any, **kwargs: Any) -> None:
        super().__init__(connection, **kwargs)
        self._pid = os.getpid()
        self._consuming_lock = threading.Lock()

    # What the channel is made of.

    @property
    def options(self) -> TransportOptions:
        """The connection's options."""
        options: TransportOptions = self.connection.options
        return options

    @property
    def clients(self) -> SqsClients:
        """This process's clients and queue URLs."""
        clients: SqsClients = self.connection.clients
        return clients

    @property
    def worker_name(self) -> str | None:
        """Who to name in reasons."""
        return self.options.worker_name if self.connection is not None else None

    def queue_url(self, queue: str) -> str:
        """A queue's URL, blocking at first use; makes a declared lane that is missing if that is allowed."""
        return queue_url(self.clients, self.options, queue)

    # Queues.

    def queue_declare(self, queue: str = "", passive: bool = False, **_: Any) -> queue_declare_ok_t:
        """Find the queue, or make its lane. Counts messages only when passive, because that is a call more."""
        try:
            self.queue_url(queue)
        except UnavailableError as exc:
            # Consumers keep trying, and a producer's send says it better.
            if passive:
                raise
            logger.debug("%s", exc)
        except QueueMissingError as exc:
            if passive:
                raise ChannelError(str(exc), (50, 10), "Channel.queue_declare", "404") from exc
            raise
        return queue_declare_ok_t(queue, self._size(queue) if passive else 0, 0)

    def _size(self, queue: str) -> int:
        name = "ApproximateNumberOfMessages"
        client = self.clients.client
        url = self.queue_url(queue)
        answer = self.clients.call(
            "GetQueueAttributes", queue, client.get_queue_attributes, QueueUrl=url, AttributeNames=[name]
        )
        return int(answer["Attributes"][name])

    def _purge(self, queue: str) -> int:
        """Of many queues the others are purged even if this one is refused: Celery passes over errors of channels."""
        try:
            size = self._size(queue)
            url = self.queue_url(queue)
            self.clients.call("PurgeQueue", queue, self.clients.client.purge_queue, QueueUrl=url)
        except (QueueMissingError, RefusedError) as error:
            logger.warning("queue %s is not purged: %s", queue, error)
            raise ChannelError(str(error), (60, 30), "Channel.queue_purge", "406") from error
        return size

    def _delete(self, queue: str, *_: Any, **__: Any) -> None:
        if lane_of(queue, self.options.lanes) is not None:
            logger.warning("queue %s belongs to a declared lane and is not deleted", queue)
            return
        url = self.queue_url(queue)
        self.clients.call("DeleteQueue", queue, self.clients.client.delete_queue, QueueUrl=url)
        self.clients.forget_queue(queue_name(self.options, queue))

    # Publishing.

    def _inplace_augment_message(self, message: dict[str, Any], exchange: str, routing_key: str) -> None:
        message["properties"]["delivery_info"].update(exchange=exchange, routing_key=routing_key)

    def _put(self, queue: str, message: dict[str, Any], **_: Any) -> None:
        sender = self.sender(queue)
        try:
            sender.send(message)
        except UnavailableError:
            self.connection.record_failure()
            raise
        self.connection.record_success()

    def goes_to_lanes(self, exchange: str) -> bool:
        """Whether what is published there is for lanes."""
        return True

    def sender(self, queue: str) -> Sender:
        """What sends to a queue; blocks at its first use."""
        try:
            url = self.queue_url(queue)
        except UnavailableError:
            self.connection.record_failure()
            raise
        lane = lane_of(queue, self.options.lanes)
        return Sender(self.clients, queue, url, lane, self.options.claims)

    def create_publish_batch(self, max_size: int) -> PublishBatch:
        """kombu's `Producer.batch()`: ten messages or 1 MiB a call, several calls at once."""
        return PublishBatch(self, max_size)

    # Consuming.

    def basic_consume(
        self, queue: str, no_ack: bool, callback: Callable[[Any], Any], consumer_tag: str, **_: Any
    ) -> None:
        """Start to receive from a queue."""
        self._tag_to_queue[consumer_tag] = queue
        self._active_queues.append(queue)
        self._consumers.add(consumer_tag)
        self.connection._callbacks[queue] = callback
        self._start_consuming().add_queue(queue, no_ack=no_ack)

    def _start_consuming(self) -> ChannelConsumer:
        with self._consuming_lock:
            if self.consuming is None:
                clients, options = self.clients, self.options
                self.consuming = ChannelConsumer(
                    clients,
                    options,
                    resolve=lambda queue: queue_url(clients, options, queue),
                    ready=self.connection.ready,
                    channel=self,
                )
                self.consuming.set_limit(self.qos.prefetch_count)
            return self.consuming

    def basic_cancel(self, consumer_tag: str) -> None:
        """Stop receiving for a consumer; what has not been handed over is visible again at once."""
        queue = self._tag_to_queue.get(consumer_tag)
        super().basic_cancel(consumer_tag)
        if queue is not None and queue not in self._active_queues and self.consuming is not None:
            self.consuming.remove_queue(queue)

    def basic_get(self, queue: str, no_ack: bool = False, **_: Any) -> messages.Message | None:
        """One message, if there is one now; blocks for one call."""
        return self._start_consuming().get(queue, no_ack=no_ack)

    def take(self, deliveries: list[Delivery], callback: Callable[[Any], Any]) -> None:
        """Consume what somebody else has received for us: each message is handed to `callback` by `drain_events`."""
        for delivery in deliveries:
            self.connection._callbacks[delivery.queue] = callback
        self._start_consuming().take(deliveries)

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        """The work is done: delete the message. Any thread; does not block."""
        if self.consuming is not None:
            self.consuming.ack(delivery_tag)

    def basic_reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Release the message (`requeue`), or make it a dead letter. Any thread; does not block."""
        if self.consuming is not None:
            self.consuming.reject(delivery_tag, requeue=requeue)

    def basic_recover(self, requeue: bool = False) -> None:
        """Release everything that is held."""
        if not requeue:
            raise NotImplementedError("Does not support recover(requeue=False)")
        self.qos.restore_unacked()

    def drain_events(self, timeout: float | None = None, callback: Any = None) -> None:
        """Hand over one message of this channel's connection."""
        self.connection.drain_events(self.connection, timeout=timeout)

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        raise Empty

    def _reset_cycle(self) -> None:
        """Receiver threads do the polling."""

    def message_to_python(self, raw_message: Any) -> Any:
        """Messages are made where they are received."""
        return raw_message

    def close(self) -> None:
        """Stop receiving, release what is held, settle what is pending; takes about 5 s at most."""
        if self._pid != os.getpid():
            # A fork's copy: messages and threads are the parent's.
            self.closed = True
            return
        if not self.closed:
            for consumer_tag in list(self._consumers):
                super().basic_cancel(consumer_tag)
            if self.consuming is not None:
                self.consuming.close()
        super().close()


@atexit.register
def _close_all() -> None:
    """Release what a process still holds that ends without closing its connections."""
    for node in STOPPER.members():
        if isinstance(node, ChannelConsumer):
            node.close()
