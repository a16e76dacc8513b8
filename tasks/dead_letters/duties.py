"""What a worker does about dead letters, beside making them: it writes them into the index, reconciles, and breaks the
circuit."""

import socket
from typing import Any

from celery.signals import worker_ready
from celery.utils.log import get_logger

from celery_inference.results.dead_letter_queues import dead_letter_queue, lanes_of
from tasks.dead_letters.index_writer import start_index_writer
from tasks.dead_letters.reconciler import Reconciler
from tasks.resilience.breaker_step import start_circuit_breaker

logger = get_logger(__name__)


@worker_ready.connect
def begin(sender: Any = None, **_: Any) -> None:
    """Begin all three when the worker takes its first delivery."""
    app = sender.app
    declared = lanes_of(app)
    consumed = [lane for lane in declared if lane.name in app.amqp.queues.consume_from]
    start_circuit_breaker(sender, consumed)
    if start_index_writer(app) is None:
        return  # `tasks.worker.startup_checks` has said what is lacking
    # Who else takes from a lane comes and goes, and does not reconcile.
    reconciled = [lane for lane in declared if lane in consumed or lane.consumer != "worker"]
    queues = [dead_letter_queue(app, lane) for lane in reconciled]
    holder = f"{socket.gethostname()}:{sender.hostname}"
    Reconciler(app, queues, app.conf.inference_reconcile_seconds, holder).start()
