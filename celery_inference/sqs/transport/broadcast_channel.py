"""The channel that carries Celery's fanout and topic exchanges, too."""

from collections.abc import Callable
from typing import Any

from amqp.protocol import queue_declare_ok_t  # type: ignore[import-untyped]

from celery_inference.sqs.broadcast.inbox import Inbox
from celery_inference.sqs.broadcast.node import Node
from celery_inference.sqs.broadcast.queue_names import QueueKind, kind_of_exchange, kind_of_queue
from celery_inference.sqs.broadcast.receive_queue import ReceiveQueue
from celery_inference.sqs.errors import BroadcastOffError
from celery_inference.sqs.transport.channel import Channel


class BroadcastChannel(Channel):
    """Sends Celery's commands, answers and events to the broadcast, and everything else to lanes."""

    def __init__(self, connection: Any, **kwargs: Any) -> None:
        super().__init__(connection, **kwargs)
        self._open: dict[str, tuple[Inbox, ReceiveQueue | None]] = {}

    @property
    def node(self) -> Node:
        """This process's part in the broadcast; raises BroadcastOffError if it is off."""
        node: Node | None = self.connection.node
        if node is None:
            raise BroadcastOffError
        return node

    # Queues and bindings are names here: nothing is kept of them.

    def queue_declare(self, queue: str = "", passive: bool = False, **arguments: Any) -> queue_declare_ok_t:
        """As a lane's queue; one of the broadcast is made when it is consumed."""
        if kind_of_queue(queue) is None:
            return super().queue_declare(queue, passive=passive, **arguments)
        assert self.node
        return queue_declare_ok_t(queue, 0, 0)

    def queue_bind(
        self, queue: str, exchange: str | None = None, routing_key: str = "", arguments: Any = None, **kwargs: Any
    ) -> None:
        """As a lane's queue."""
        if kind_of_queue(queue) is None:
            super().queue_bind(queue, exchange, routing_key, arguments, **kwargs)

    def queue_delete(self, queue: str, if_unused: bool = False, if_empty: bool = False, **kwargs: Any) -> None:
        """As a lane's queue; one of the broadcast goes with its consumer or its process."""
        if kind_of_queue(queue) is None:
            super().queue_delete(queue, if_unused=if_unused, if_empty=if_empty, **kwargs)

    # Publishing.

    def goes_to_lanes(self, exchange: str) -> bool:
        """Not if it is one of the broadcast's."""
        return kind_of_exchange(exchange) is None

    def basic_publish(self, message: dict[str, Any], exchange: str, routing_key: str, **kwargs: Any) -> Any:
        """Commands are sent here and now; answers and events are only handed on."""
        kind = kind_of_exchange(exchange)
        if kind is None:
            return super().basic_publish(message, exchange, routing_key, **kwargs)
        node: Node | None = self.connection.node
        if node is None and kind is QueueKind.EVENTS:
            return None
        self._inplace_augment_message(message, exchange, routing_key)
        if kind is QueueKind.EVENTS:
            self.node.event(message, routing_key)
        elif kind is QueueKind.REPLY:
            self.node.reply(routing_key, message)
        else:
            self.node.command(message)
        return None

    # Consuming.

    def basic_consume(
        self, queue: str, no_ack: bool, callback: Callable[[Any], Any], consumer_tag: str, **kwargs: Any
    ) -> None:
        """As from a lane, or from a queue of this process's own that takes no slot and has no lease."""
        kind = kind_of_queue(queue)
        if kind is None:
            super().basic_consume(queue, no_ack, callback, consumer_tag, **kwargs)
            return
        self._tag_to_queue[consumer_tag] = queue
        self._consumers.add(consumer_tag)
        self.connection._callbacks[queue] = callback
        if queue in self._open:
            return
        inbox = Inbox(queue, self, self.connection.ready)
        receive_queue = None
        if kind is QueueKind.CONTROL:
            receive_queue = self.node.open_control(queue.rsplit(".", 2)[0], inbox)
        elif kind is QueueKind.EVENTS:
            receive_queue = self.node.open_events(inbox)
        else:
            self.node.replies.take(_oid(queue), inbox)
        self._open[queue] = (inbox, receive_queue)

    def basic_cancel(self, consumer_tag: str) -> None:
        """Stop a consumer; its queue of the broadcast is deleted."""
        queue = self._tag_to_queue.get(consumer_tag)
        super().basic_cancel(consumer_tag)
        if queue is not None:
            self._shut(queue)

    def _shut(self, queue: str) -> None:
        inbox, receive_queue = self._open.pop(queue, (None, None))
        if inbox is not None:
            inbox.close()
            self.connection._callbacks.pop(queue, None)
        if receive_queue is not None:
            self.node.shut(receive_queue)
        elif inbox is not None:
            self.node.replies.forget(_oid(queue))

    def close(self) -> None:
        """As a channel of lanes, and delete this channel's queues of the broadcast."""
        if not self.closed:
            for queue in list(self._open):
                self._shut(queue)
        super().close()


def _oid(queue: str) -> str:
    """The id of who asks, from the name of its reply queue."""
    return queue.partition(".")[0]
