"""A worker that is handed its deliveries, for a function whose platform reads the queue.

Consumer, request, task, pool and settlement are those of `celery worker`; it lacks the loop that receives, events,
remote control and the reconciler. What it is handed it settles before `work` returns; between two calls it may be
frozen.
"""

import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from celery import Celery
from celery.app import trace
from celery.exceptions import TaskRevokedError
from celery.utils.log import get_logger
from celery.utils.nodenames import default_nodename
from celery.utils.timer2 import Timer
from celery.worker import state
from kombu.common import QoS

from celery_inference.results.dead_letter_queues import lanes_of
from celery_inference.sqs.consumer.deliveries import release_after, want_back
from celery_inference.sqs.lanes import Lane
from celery_inference.sqs.messages.delivery import Delivery
from celery_inference.sqs.transport.channel import Channel
from tasks.dead_letters.index_writer import IndexWriter, start_index_writer
from tasks.execution.engine_factory import specs
from tasks.patches.celery_trace_log import shorten_the_log
from tasks.resilience.circuit_breaker import start_circuit_breaker
from tasks.resilience.lane_pauses import LanePauses
from tasks.worker.consumer import Consumer
from tasks.worker.pool import EnginePool

logger = get_logger(__name__)

THREADS = 64  # deliveries at work at once, enough for the largest batches; what a call has more waits for one
PAUSED_SECONDS = 60.0  # until a delivery of a lane that is paused comes again
SETTLE_SECONDS = 5.0  # of a call's time, for telling SQS and the index
LOOK_SECONDS = 0.2


class WorkerLost(Exception):
    """No device is left: this process is of no more use. Its deliveries were given back."""


class HandedConsumer(Consumer):
    """Celery's consumer without the steps that connect it, watch it and talk to it."""

    event_dispatcher = None
    task_consumer = None

    class Blueprint(Consumer.Blueprint):
        """No steps."""

        default_steps = ()


class EventWorker:
    """`state` is what Celery's consumer asks its controller for. One thread's."""

    state = state

    def __init__(self, app: Celery, consumer: str) -> None:
        """`consumer` is whose lanes these are: `celery_inference.sqs.lanes.Lane.consumer`."""
        self.app = app
        # Hosts of functions share their names, and attempts are told apart by them.
        self.name = default_nodename(f"{consumer}-{uuid.uuid4().hex[:8]}")
        self._lanes: tuple[Lane, ...] = tuple(lane for lane in lanes_of(app) if lane.consumer == consumer)
        self._pool = EnginePool(THREADS, app=app)

    def start(self) -> None:
        """Load every model on every device; blocks. Raises SystemExit, with the reason in the log, when one cannot."""
        app = self.app
        app.loader.init_worker()
        trace.setup_worker_optimizations(app, self.name)
        shorten_the_log()
        app.amqp.queues.select([lane.name for lane in self._lanes])
        self._pool.start()
        self._consumer = consumer = HandedConsumer(
            self._run,
            hostname=self.name,
            pool=self._pool,
            app=app,
            timer=Timer(),
            controller=self,
            disable_rate_limits=True,
        )
        consumer.qos = QoS(lambda **_: None, 0)
        consumer.update_strategies()
        self._on_message: Callable[[Any], Any] = consumer.create_task_handler()
        options = {"delete_messages": False, "worker_name": self.name, "broadcast_prefix": None}
        self._channel: Channel = app.connection_for_read(transport_options=options).channel()
        context, pauses = app.worker_context, LanePauses(consumer)
        context.models.use(pauses, app.conf, specs(app.conf))
        context.breaker = start_circuit_breaker(app, self._lanes, pauses, context.request_ages, self.name)
        self._notes: IndexWriter | None = start_index_writer(app)

    def queue_url(self, queue: str) -> str:
        """A queue's URL; asks SQS at its first use, and raises errors of `celery_inference.sqs.errors`."""
        return self._channel.queue_url(queue)

    def work(self, deliveries: Sequence[Delivery], seconds: float) -> None:
        """Work on these, and settle each within so many seconds; what is `done` then is to be deleted.

        A while before the end what has not begun is given back, at the end what has not ended. Raises WorkerLost.
        """
        until = time.monotonic() + seconds
        settle_seconds = min(SETTLE_SECONDS, seconds / 4)
        finish_seconds = min(float(self.app.conf.inference_stop_seconds), seconds / 4)
        self._channel.take(list(deliveries), self._on_message)
        if not self._wait(until - settle_seconds - finish_seconds):
            for delivery in deliveries:
                want_back(delivery)
            self._wait(until - settle_seconds)
        for delivery in deliveries:  # nothing happens to those that are settled
            self._channel.basic_reject(delivery.tag, requeue=True)
        consuming = self._channel.consuming
        assert consuming is not None, "it has taken these deliveries"
        consuming.flush(max(0.1, until - time.monotonic()))
        if self._notes is not None:
            self._notes.flush(max(0.1, until - time.monotonic()))
        if state.should_stop is not None:
            raise WorkerLost("no device is left")

    def _wait(self, until: float) -> bool:
        """Hand over what waits, until all is settled; False when the time is over first."""
        consuming = self._channel.consuming
        assert consuming is not None, "it has taken deliveries"
        while True:
            self._consumer.perform_pending_operations()  # such as stopping a lane
            self._hand_over()
            left = until - time.monotonic()
            if consuming.wait_until_empty(max(0.0, min(LOOK_SECONDS, left))):
                return True
            if left <= 0 or state.should_stop is not None:
                return False

    def _hand_over(self) -> None:
        while self._pool.busy < THREADS:
            try:
                self._channel.drain_events(timeout=0.0)
            except TimeoutError:
                return

    def _run(self, request: Any) -> None:
        """What Celery's controller does with a request."""
        if request.message.delivery.queue not in self.app.amqp.queues.consume_from:
            release_after(request.message, PAUSED_SECONDS)
            state.task_ready(request)
            request.reject(requeue=True)
            return
        try:
            request.execute_using_pool(self._pool)
        except TaskRevokedError:
            logger.debug("request %s was revoked", request.id)  # and settled
