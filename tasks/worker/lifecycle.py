"""A worker's life: what starts and what stops, in which order, and what its signals do. All of it is in this file.

Start, each step when the one before is done:

| when | step |
|---|---|
| Celery has read settings and options | `Lifecycle.choose_lanes`: which options, how many threads, which lanes |
| it has set up its log | `Lifecycle.set_up_log`, `Lifecycle.set_up_task_log` |
| it is set up | `Lifecycle.begin_traces`, after what applications set up in worker_init |
| it makes its steps, none of which has started | `BeforeModels`: name, queues and stores are checked, /live answers |
| it starts the pool | `load_models`: models are loaded, and results are waited for from here on |
| it connects, and subscribes to events, remote control and lanes | steps of `tasks.worker.consumer` |
| it is about to receive | `Lifecycle.begin`, at whose end /ready says 200 |

Signals, which `Lifecycle.handle_signal` is told of; exit statuses are Celery's but for the last:

| signal | what it does | exit status |
|---|---|---|
| first SIGTERM or SIGINT | nothing more is received, what has not begun is released; then the worker stops | 0 |
| first SIGQUIT | what runs is released, too, unless Celery's soft shutdown has a time for it to finish | 1 |
| any second one | what runs is released, its attempts are uncounted, and the process ends at once | 1 |

Where a thread of the pool does not end, the process ends without it, with 1.

Stop, in Celery's order, which is that of the start reversed:

| when | step |
|---|---|
| the consumer stops | its lanes are cancelled |
| the pool stops | `finish_work`: batches end, device processes with them, then outcomes are stored or released |
| the consumer's channel closes | what is held still is released, and SQS has been told: `ChannelConsumer.close` |
| the process is about to end | `Lifecycle.end_traces`; health server and host guard answer until it has ended |
"""

import gc
import itertools
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from celery import bootsteps
from celery.platforms import EX_FAILURE
from celery.signals import (
    after_setup_logger,
    after_setup_task_logger,
    celeryd_after_setup,
    celeryd_init,
    heartbeat_sent,
    task_success,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)
from celery.utils.log import get_logger
from celery.worker import state

from celery_inference.log_events import event
from celery_inference.redaction import TextFilter
from celery_inference.results.dead_letter_queues import lanes_of
from celery_inference.specs.errors import InferenceError
from celery_inference.sqs.consumer.shutdown import release_everything, stop_receiving
from models.engine import Engine
from tasks.binding import adopt_tasks
from tasks.context import WorkerContext
from tasks.dead_letters.index_writer import start_index_writer
from tasks.dead_letters.reconciler import start_reconciler
from tasks.execution.attempts import WRITE_SECONDS, RunningAttempts
from tasks.execution.engine_factory import build, devices, specs
from tasks.hosts.guard import start_host_guard
from tasks.patches import celery_cold_shutdown
from tasks.patches.celery_trace_log import shorten_the_log
from tasks.patches.malloc import give_large_blocks_back
from tasks.resilience.circuit_breaker import start_circuit_breaker
from tasks.resilience.lane_pauses import LanePauses
from tasks.tracing.export import begin_traces, follower
from tasks.worker.health.server import start_health_server
from tasks.worker.logs.log_setup import show_what_matters, write_json
from tasks.worker.prefetch import PrefetchStep
from tasks.worker.served_lanes import leave_the_lanes_of_others, log_what_is_served, size_the_pool, what_is_served
from tasks.worker.startup.options import refuse_options, refuse_time_limits
from tasks.worker.startup.places import check_claim_store, check_state_folder, claim_name
from tasks.worker.startup.queues import check_queues
from tasks.worker.startup.result_store import check_result_store

logger = get_logger(__name__)

LOAD_SECONDS = 1_800.0  # a cold host fetches weights first
RELEASE_SECONDS = 5.0  # for SQS to hear of it, at a second signal
SETTLE_SECONDS = 5.0  # for storing results and acknowledging, after the engine has ended
EXIT_SECONDS = 10.0  # for the rest of Celery's shutdown, when a thread of the pool hangs


class Lifecycle:
    """Connects a worker's context to Celery's signals."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._signals = itertools.count()  # takes no lock, which a signal handler must not wait for
        self._end_traces: Callable[[], None] | None = None
        self._json = False

    def connect(self) -> None:
        """From now on, in this process. Outside of a worker Celery sends none of them."""
        celery_cold_shutdown.install()
        for signal, act in self.handlers():
            signal.connect(act, weak=False, dispatch_uid=f"{__name__} {act.__name__}")

    def handlers(self) -> tuple[tuple[Any, Callable[..., None]], ...]:
        """What is called at which of Celery's signals."""
        return (
            (celeryd_init, self.choose_lanes),
            (after_setup_logger, self.set_up_log),
            (after_setup_task_logger, self.set_up_task_log),
            (celeryd_after_setup, self.begin_traces),
            (worker_ready, self.begin),
            (heartbeat_sent, self.publish_stats),
            (task_success, self.count_success),
            (worker_shutting_down, self.handle_signal),
            (worker_shutdown, self.end_traces),
        )

    def choose_lanes(self, conf: Any, options: dict[str, Any] | None = None, **_: Any) -> None:
        """Where the operator names neither: the pool's threads, and the lanes. Raises SystemExit."""
        self._json = (options or {}).get("log_format") == "json"
        refuse_options(conf, options or {})
        check_state_folder(conf)
        size_the_pool(conf, options or {})
        leave_the_lanes_of_others(self._context.app, options or {})

    def set_up_log(self, logger: Any, loglevel: int | None = None, **_: Any) -> None:
        """What is shown, and how; Celery has made the handlers."""
        shorten_the_log(self._context.app.conf.inference_keep_inputs)
        show_what_matters(loglevel)
        self.set_up_task_log(logger)

    def set_up_task_log(self, logger: Any, **_: Any) -> None:
        """Tasks of a deployment may log by handlers of their own; none shows more of inputs than the setting allows."""
        if self._json:
            write_json(logger)
        for handler in logger.handlers:
            handler.addFilter(TextFilter(self._context.app.conf.inference_keep_inputs))

    def begin_traces(self, sender: Any, **_: Any) -> None:
        """Where that is wanted and can be, and inside of what instrumentations record."""
        self._end_traces = begin_traces(self._context.app.conf, str(sender))

    def begin(self, sender: Any, **_: Any) -> None:
        """Models are loaded, and Celery's consumer has subscribed: what a worker does beside its requests begins."""
        context, consumer, app = self._context, sender, self._context.app
        queues = app.amqp.queues.consume_from
        served, pauses = specs(app.conf, queues), LanePauses(consumer)
        consumed = [lane for lane in lanes_of(app) if lane.name in queues]
        context.breaker = start_circuit_breaker(app, consumed, pauses, context.request_ages, consumer.hostname)
        if start_index_writer(app) is not None:  # else `check_result_store` has said what is lacking
            start_reconciler(app, queues, consumer.hostname, context.breaker.count_found)
        log_what_is_served(consumer)
        spare_the_collector()
        context.models.use(pauses, app.conf, served)
        # What is held should be drained in a third of a lease, by the speeds that are measured.
        seconds = app.conf.broker_transport_options["lease_seconds"] / 3
        PrefetchStep(consumer, context.engine, served, len(devices(app.conf)), seconds).start()
        context.readiness.start(consumer, what_is_served(consumer, served))

    def publish_stats(self, **_: Any) -> None:
        """With each heartbeat of the worker's."""
        self._context.consumer.stats.publish()

    def count_success(self, sender: Any, **_: Any) -> None:
        """A request of this worker has succeeded. In a thread of the pool."""
        if self._context.breaker is not None:
            lane = str((sender.request.delivery_info or {}).get("routing_key"))
            self._context.breaker.record_outcome(lane, dead=False)

    def handle_signal(self, how: str = "Warm", **_: Any) -> None:
        """See above. Runs in the signal handler, in the middle of anything: takes no lock, and does not block."""
        if next(self._signals):
            release_everything(RELEASE_SECONDS, partial(end_now, self._context.attempts))
        elif how == "Warm" or self._context.app.conf.worker_soft_shutdown_timeout > 0:
            stop_receiving()
        else:
            release_everything(RELEASE_SECONDS)

    def end_traces(self, **_: Any) -> None:
        """Export the last ones; blocks for a few seconds at most."""
        if self._end_traces is not None:
            self._end_traces()


class BeforeModels(bootsteps.Step):
    """What a worker does before any step of Celery's starts, the pool included. Raises SystemExit, with one line."""

    def __init__(self, worker: Any, health_port: tuple[str, int] | None = None, **options: Any) -> None:
        super().__init__(worker, **options)
        self._name = claim_name(worker.app.conf, worker.hostname)  # kept, as the name is, until the process ends
        refuse_time_limits(worker.app)
        adopt_tasks(worker.app)
        check_queues(worker.app)
        check_result_store(worker.app)
        check_claim_store(worker.app.conf)
        start_health_server(health_port, worker.app.worker_context)
        start_host_guard(worker.app.conf)


def load_models(context: WorkerContext, recycle_kib: int | None) -> Engine:
    """Load what is to be served; blocks until that is done, or until the worker is told to stop.

    A device process of more than `recycle_kib` is replaced: Celery's `--max-memory-per-child`. Raises SystemExit.
    """
    give_large_blocks_back()
    failures: list[InferenceError] = []

    def load() -> None:
        try:
            engine.start(timeout_seconds=LOAD_SECONDS)
        except InferenceError as error:
            failures.append(error)

    try:
        engine = build(
            context.app,
            on_begin=context.attempts.begin_requests,
            on_lost=stop_the_worker,
            on_out=context.models.record_outage,
            recycle_bytes=recycle_kib * 1024 if recycle_kib else None,
            on_batch=follower(),
        )
    except InferenceError as error:
        failures.append(error)
    else:
        loading = threading.Thread(target=load, name="engine-start")
        loading.start()
        try:
            while loading.is_alive():
                loading.join(0.1)
                state.maybe_shutdown()
        except SystemExit:
            # Celery does not stop what has not wholly started.
            engine.stop(timeout_seconds=0.0)
            raise
    if failures:
        logger.critical("%s", failures[0])
        raise SystemExit(1) from failures[0]
    context.engine.engine = engine
    context.app.backend.patience = context.patience
    return engine


def stop_the_worker(reason: str) -> None:
    """End this worker, its deliveries released for others: it has no device left. Called in a thread of the engine."""
    logger.critical("%s: the worker stops", reason, extra=event("worker_stops", cause=reason))
    state.should_stop = 1


def finish_work(
    context: WorkerContext,
    engine: Engine | None,
    drain: Callable[[float], int],
    engine_seconds: float,
    settle_seconds: float,
) -> None:
    """Release what has not begun, let the devices finish what has, and the pool's threads settle it.

    `drain` waits for these threads for so many seconds, and returns how many are left. Blocks.
    """
    context.engine.engine = None
    until = time.monotonic() + engine_seconds
    if engine is not None:
        engine.stop(timeout_seconds=engine_seconds)
    # Every request is resolved now: these threads only settle their deliveries, and those whose store is away
    # wait for it no longer. Tasks of other kinds have the rest of the time.
    context.patience.end()
    if left := drain(max(settle_seconds, until - time.monotonic())):
        # Python joins the pool's threads before it exits, without a bound. Both timers start at once, because it
        # starts no thread any more while it waits for those that hang.
        logger.error("%d threads of the pool hang; the worker ends without them", left)
        _start(EXIT_SECONDS, partial(end_now, context.attempts))
        _start(EXIT_SECONDS + WRITE_SECONDS, _exit)


def end_now(attempts: RunningAttempts) -> None:
    """End this process, whatever its threads do; what they have begun counts as no attempt.

    Device processes end with it. A result store that hangs is waited for `WRITE_SECONDS`. It starts a thread: a signal
    handler may call it only before there is work. Where none can be started it ends at once.
    """
    try:
        _start(WRITE_SECONDS, _exit)
        attempts.take_back_all()
    finally:
        _exit()


def _start(seconds: float, act: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()


def _exit() -> None:
    os._exit(EX_FAILURE)


def spare_the_collector() -> None:
    """Let Python's garbage collector pass over what the start has left, which stays until the worker ends.

    That is 170,000 objects, most of them modules'; looking through them takes 0.1 s of a core, in which no thread runs,
    for every few hundred requests.
    """
    gc.collect()
    gc.freeze()
