"""The consuming half of a channel: what is held, from its receive to its settlement."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from celery_inference.log_events import event
from celery_inference.sqs.api.clients import SqsClients
from celery_inference.sqs.broadcast.inbox import Ready
from celery_inference.sqs.claim_check.redeemer import Redeemer
from celery_inference.sqs.consumer.decoder import ClaimAway, Claimed, Decoded, Decoder, Postponed, Unreadable
from celery_inference.sqs.consumer.held_messages import HeldMessages
from celery_inference.sqs.consumer.leases import LeaseRenewer
from celery_inference.sqs.consumer.message import Message, publish_received
from celery_inference.sqs.consumer.poll_scheduler import Poll
from celery_inference.sqs.consumer.receiver import LATE_ANSWER_SECONDS, Receiver
from celery_inference.sqs.consumer.redelivery import fresh, postponed
from celery_inference.sqs.consumer.settlement import Settler
from celery_inference.sqs.consumer.shutdown import STOPPER
from celery_inference.sqs.errors import SqsError
from celery_inference.sqs.lanes import lane_taking
from celery_inference.sqs.messages.delivery import Delivery
from celery_inference.sqs.messages.reason import Reason
from celery_inference.sqs.options import TransportOptions

logger = logging.getLogger(__name__)

SHUTDOWN_SECONDS = 5.0  # for flushing releases and deletes when a channel closes


class ChannelConsumer:
    """Receiver, leases and settlements of one channel. Thread-safe.

    Messages go into `ready`, a queue whose `put` is safe in signal handlers; None in it only wakes.
    """

    def __init__(
        self,
        clients: SqsClients,
        options: TransportOptions,
        *,
        resolve: Callable[[str], str],
        ready: Ready,
        channel: Any,
    ) -> None:
        self._clients = clients
        self._options = options
        self._resolve = resolve
        self._ready = ready
        self._channel = channel
        self._leases = LeaseRenewer(
            clients,
            lease_seconds=options.lease_seconds,
            cap_seconds=max(options.lease_cap_seconds, options.lease_seconds),
        )
        self._payloads = Redeemer(options.claims, lambda: self.stopping)
        self._decoder = Decoder(self._payloads, channel)
        self._settler = Settler(
            clients,
            self._leases,
            lanes=options.lanes,
            release_cap_seconds=options.release_cap_seconds,
            delete_messages=options.delete_messages,
            on_done=self._payloads.remove,
        )
        self._receiver = Receiver(
            clients,
            options,
            resolve=resolve,
            accept=self._accept,
            backlog=lambda: self._settler.backlog,
            give_up=self._give_up,
        )
        self._held = HeldMessages(lambda message: ready.put((self, message)), lambda: self.stopping)
        self._no_ack: set[str] = set()
        self._pid = os.getpid()
        self.stopping = False
        self.fatal: SqsError | None = None
        STOPPER.add(self)

    @property
    def held(self) -> int:
        """Deliveries that wait or run."""
        return len(self._held)

    def set_limit(self, slots: int) -> None:
        """How many may be held, 0 for no limit."""
        self._receiver.set_limit(slots)

    def add_queue(self, name: str, *, no_ack: bool) -> None:
        """Receive from this queue; raises QueueMissingError or DeniedError, and bears what will pass."""
        if no_ack:
            self._no_ack.add(name)
        self._receiver.add_queue(name)

    def remove_queue(self, name: str) -> None:
        """Receive no more from this queue, and release what waits."""
        self._receiver.remove_queue(name)
        self._release(lambda message: message.delivery.queue == name and not message.handed_over)
        self._no_ack.discard(name)

    # In receiver threads.

    def _give_up(self, exc: SqsError) -> None:
        """Let the consuming thread raise what no waiting mends."""
        self.fatal = exc
        self._ready.put(None)

    def _accept(self, received: list[Delivery], *, fetch_here: bool = False) -> None:
        """Decode what was received, and hand it on; payloads that are claimed are fetched in threads of their own."""
        self._leases.keep(received)
        ordered = received if self._held.arrive(received) else []
        decoded = [(delivery, self._decoder.decode(delivery)) for delivery in received]
        claimed = [pair for pair in decoded if isinstance(pair[1], Claimed)]
        if claimed and not ordered:
            self._hand_on([pair for pair in decoded if not isinstance(pair[1], Claimed)])
            decoded = claimed
        if not claimed or fetch_here:
            self._hand_on_in_order(ordered, decoded)
        else:
            self._payloads.run(lambda: self._hand_on_in_order(ordered, decoded))

    def _hand_on_in_order(self, ordered: list[Delivery], decoded: list[tuple[Delivery, Decoded]]) -> None:
        try:
            read: list[tuple[Delivery, Decoded]] = []
            for delivery, what in decoded:
                if not isinstance(what, Claimed):
                    read.append((delivery, what))
                    continue
                read.append((delivery, self._decoder.redeem(delivery, what)))
                # It is handed on at once: the next may wait for room that this one leaves when it is done.
                self._hand_on(read)
                read = []
            self._hand_on(read)
        finally:
            self._held.arrived(ordered)

    def _hand_on(self, decoded: list[tuple[Delivery, Decoded]]) -> None:
        publish_received([what for _, what in decoded if isinstance(what, Message)])
        for delivery, what in decoded:
            if isinstance(what, Message):
                if self._held.take_up(what):
                    continue
                self._payloads.let_go(delivery)
                self._settler.release(delivery, 0)
            else:
                self._settle(delivery, what)
            self._receiver.free_slot(delivery.queue)

    def _settle(self, delivery: Delivery, what: Decoded) -> None:
        """Settle what no consumer is to see."""
        followers = self._held.pass_by(delivery, given_back=isinstance(what, ClaimAway))
        match what:
            case Postponed(seconds_left):
                self._settler.postpone(delivery, postponed(delivery, seconds_left))
            case Unreadable(error):
                delivery.reason = Reason("UndecodableMessage", str(error), attempts=0, worker=self._options.worker_name)
                logger.warning(
                    "message %s on %s cannot be read: %s",
                    delivery.message_id,
                    delivery.queue,
                    error,
                    extra=event("message_unreadable", message_id=delivery.message_id, lane=delivery.queue),
                )
                self._settler.write_dead_letter(delivery)
            case _:  # its payload is away: others may reach the store
                self._give_back(delivery, None)
        self._release_followers(followers)

    # In the consuming thread.

    def take(self, received: list[Delivery]) -> None:
        """Take over what somebody else has received for us."""
        for delivery in received:
            self._receiver.take_slot(delivery.queue)
        self._accept(received, fetch_here=True)

    def hand_over(self, message: Message, callback: Callable[[Message], Any] | None) -> bool:
        """Give a ready message to its consumer; False if it is not ours any more.

        What the callback raises ends this message and is logged; it must not end the loop around it.
        """
        if not self._held.begin(message, handed_over=callback is not None):
            return False
        if callback is None:
            self.reject(message.delivery.tag, requeue=True, seconds=0)
            return False
        if not message.delivery.holds():
            self._forget(message)
            return False
        if message.delivery.queue in self._no_ack:
            self.ack(message.delivery.tag)
        message.callback_thread = threading.get_ident()
        try:
            callback(message)
        except Exception as exc:
            logger.exception("the consumer failed on message %s", message.delivery.message_id)
            if isinstance(exc, RuntimeError | OSError | SqsError | MemoryError):
                # The worker's trouble, not the message's: a pool that has shut down, a store that is away.
                self.reject(message.delivery.tag, requeue=True)
            else:
                message.fail(exc)
        finally:
            message.callback_thread = None
        return True

    def get(self, name: str, *, no_ack: bool) -> Message | None:
        """Receive one message here and now."""
        received = self._receiver.receive(self._clients.client, self._resolve(name), Poll(name, 1, 0))
        if not received:
            return None
        delivery = received[0]
        self._leases.keep([delivery])
        message = self._decoder.decode(delivery)
        if isinstance(message, Claimed):
            message = self._decoder.redeem(delivery, message)
        if not isinstance(message, Message):
            self._settle(delivery, message)
            return None
        if message.unreadable is not None:
            logger.warning("message %s on %s cannot be read: %s", delivery.message_id, name, message.unreadable)
            self._settler.write_dead_letter(delivery)
            return None
        if no_ack:
            self._payloads.let_go(delivery)
            self._settler.delete(delivery)
            return message
        self._held.hold(message)
        self._receiver.take_slot(name)
        return message

    # In any thread.

    def wait_until_empty(self, timeout_seconds: float) -> bool:
        """Wait until nothing is held any more, and `flush` has all; False if something is after the time."""
        return self._held.wait_until_empty(timeout_seconds)

    def ack(self, tag: str) -> None:
        """Delete; nothing happens for a delivery that was settled before."""
        with self._leave(tag) as message:
            if message is not None:
                self._settler.delete(message.delivery)

    def reject(self, tag: str, *, requeue: bool, seconds: int | None = None) -> None:
        """Release it, or write a dead letter; nothing happens for a delivery that was settled before."""
        followers = self._held.give_back(tag) if requeue else []
        with self._leave(tag) as message:
            if message is not None and requeue:
                self._give_back(message.delivery, seconds)
            elif message is not None:
                self._settler.write_dead_letter(message.delivery)
        self._release_followers(followers)

    def _release_followers(self, followers: list[Message]) -> None:
        """SQS keeps them behind the one that was released; here they would overtake it."""
        for follower in followers:
            self.reject(follower.delivery.tag, requeue=True, seconds=0)

    def _give_back(self, delivery: Delivery, seconds: int | None) -> None:
        """Release, or send a fresh copy of a message that SQS would move to the DLQ at its next receive.

        Whoever gives a delivery back has attempts to spare for it; what has none is rejected without requeue. FIFO
        queues keep the order of their groups, which a copy would lose: there the reconciler brings the message back.
        """
        lane = lane_taking(delivery.queue, self._options.lanes)
        last = lane is not None and delivery.count >= lane.max_receive_count
        if not last or delivery.queue.endswith(".fifo"):
            self._settler.release(delivery, seconds)
        elif delivery.holds():
            self._settler.postpone(delivery, fresh(delivery, self._settler.release_seconds(delivery, seconds)))
        else:
            self._leases.drop(delivery)

    @contextmanager
    def _leave(self, tag: str) -> Iterator[Message | None]:
        """The message to settle, None if it was settled before."""
        message = self._held.pop(tag)
        try:
            if message is not None:
                self._receiver.free_slot(message.delivery.queue)
                self._payloads.let_go(message.delivery)
            yield message
        finally:
            if message is not None:
                self._held.left()

    def _forget(self, message: Message) -> None:
        """Its lease was lost while it waited: it is another's now."""
        with self._leave(message.delivery.tag) as mine:
            if mine is not None:
                self._leases.give_up(message.delivery)

    # Stopping.

    def stop_receiving(self) -> None:
        """Deliver nothing more, wake the consuming thread, and make visible again what was not handed over."""
        self.stopping = True
        self._receiver.stop()
        self._ready.put(None)
        self._release(lambda message: not message.handed_over)

    def release_all(self) -> None:
        """Make visible again everything that is held."""
        self._release(lambda message: True)

    def _release(self, which: Callable[[Message], bool]) -> None:
        for tag in self._held.tags(which):
            self.reject(tag, requeue=True, seconds=0)

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until SQS has been told of every settlement; False if that took too long."""
        until = time.monotonic() + timeout_seconds
        self._held.wait_until_left(timeout_seconds)
        if self.stopping:  # what a fetch under way still brings is released
            self._held.wait_until_arrived(min(timeout_seconds, LATE_ANSWER_SECONDS))
        settled = self._settler.flush(max(0.0, until - time.monotonic())) and self._held.wait_until_left(0)
        if self.stopping:
            self._receiver.wait_for_late_answers()
        return settled

    def close(self) -> None:
        """Stop, release all, settle within the bound, end the threads."""
        if os.getpid() != self._pid:
            return  # A fork's copy: messages and threads are the parent's.
        self.stopping = True
        self._receiver.close()
        self.release_all()
        settled = self.flush(SHUTDOWN_SECONDS)
        self._settler.close(SHUTDOWN_SECONDS if settled else 0.0)
        self._leases.close()
        STOPPER.discard(self)  # last: who ends the process at a second signal waits for what SQS has not heard yet
