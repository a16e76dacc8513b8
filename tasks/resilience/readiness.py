"""Whether a worker can do what it is there for: receive, run and store. Each reason why not is a sentence.

- SQS: of each queue that it takes from, one of the last two polls was answered, and none was refused; while no slot is
  free, any call within one lease.
- The result store took a write within the last ten seconds: an outcome, or else a lease on the worker's name, which
  also tells two workers of one name apart.
- A device has its models.
- Nothing keeps the whole worker from receiving. A paused lane does not: the worker works on the others.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from celery import Celery
from celery.utils.log import get_logger
from celery.worker import state

from celery_inference.log_events import event
from celery_inference.results.access import store_of
from celery_inference.results.backend import Patience
from celery_inference.sqs.api.clients import SqsClients
from celery_inference.sqs.consumer.pause import Pauses
from celery_inference.sqs.errors import SqsError
from celery_inference.sqs.options import TransportOptions

logger = get_logger(__name__)

PROBE_SECONDS = 10.0
LOOK_SECONDS = 1.0  # between two looks at what is known already, for the log
NAME_SECONDS = 3 * PROBE_SECONDS  # for which a name stays taken after its worker was killed
ANSWER_SECONDS = 35.0  # a store that is locked for longer, as SQLite's file may be for 30 s, takes no writes


class Readiness:
    """Of one worker. `device_states` gives the state of each device, or None while models load.

    `faults` may be called from any thread, and asks nobody.
    """

    def __init__(
        self, app: Celery, pauses: Pauses, patience: Patience, device_states: Callable[[], Mapping[str, str] | None]
    ) -> None:
        self._app = app
        self._pauses = pauses
        self._patience = patience
        self._device_states = device_states
        self._clients: SqsClients | None = None
        self._options: TransportOptions | None = None
        self._name = ""
        self._facts: Mapping[str, Any] = {}
        self._was_ready: bool | None = None
        self._holder = f"{os.getpid()}-{time.time():.3f}"
        self._asked_at: float | None = None  # of the write that is under way
        self._store_fault: str | None = None
        self._name_taken_since: float | None = None

    def start(self, consumer: Any, facts: Mapping[str, Any]) -> None:
        """The worker receives: ask SQS and the store every ten seconds, where nothing else does, in a thread.

        `facts` go with the log line that it is ready.
        """
        self._facts = facts
        with self._app.connection_for_read() as connection:
            transport = connection.transport
        self._options, self._name = transport.options, consumer.hostname
        self.probe_store()
        self._clients = transport.clients
        self.log_change()
        threading.Thread(target=self._run, name="readiness", daemon=True).start()

    def faults(self) -> list[str]:
        """Why the worker is not ready; empty when it is."""
        states = self._device_states()
        if states is None:
            return ["models are not loaded yet"]
        if self._clients is None:
            return ["the worker does not receive yet"]
        found = [*self._pauses.reasons.values(), _device_fault(states), self._store_fault_now(), *self._sqs_faults()]
        return list(dict.fromkeys(fault for fault in found if fault))

    def _store_fault_now(self) -> str | None:
        if time.monotonic() - self._patience.stored_at < PROBE_SECONDS:
            return None
        since = self._asked_at
        if since is not None and time.monotonic() - since > ANSWER_SECONDS:
            return f"the result store has taken no write for {time.monotonic() - since:.0f} s"
        return self._store_fault

    def _sqs_faults(self) -> list[str | None]:
        clients, options = self._clients, self._options
        if clients is None or options is None:
            return ["SQS has not been asked yet"]
        poll_seconds = options.wait_time_seconds + options.call_timeout_seconds + 5.0
        return [
            clients.record.poll_fault(queue, poll_seconds=poll_seconds, silent_seconds=options.lease_seconds)
            for queue in sorted(self._app.amqp.queues.consume_from)
        ]

    # In the thread of its own.

    def _run(self) -> None:
        probed_at = time.monotonic()
        while True:
            time.sleep(LOOK_SECONDS)
            try:
                self.log_change()
                if time.monotonic() - probed_at < PROBE_SECONDS:
                    continue
                probed_at = time.monotonic()
                if time.monotonic() - self._patience.stored_at > PROBE_SECONDS:
                    self.probe_store()
                self.probe_sqs()
            except Exception:
                logger.exception("the worker's readiness could not be looked at; trying again")

    def log_change(self) -> None:
        """Say that the worker has become ready, or is so no more; nothing while it stops."""
        if self._device_states() is None or state.should_stop is not None:
            return
        faults = self.faults()
        if faults and self._was_ready is not False:
            told = event("worker_unready", worker=self._name, cause="; ".join(faults))
            logger.warning("worker %s is not ready: %s", self._name, "; ".join(faults), extra=told)
        elif not faults and not self._was_ready:
            logger.info("worker %s is ready", self._name, extra=event("worker_ready", **self._facts))
        self._was_ready = not faults

    def probe_store(self) -> None:
        """Write to the store, and note whether it took it. Blocks for as long as the store does."""
        self._asked_at = time.monotonic()
        try:
            self._write()
            self._store_fault = None
        except Exception as error:  # of a backend of Celery's: whatever its client raises
            self._store_fault = f"the result store takes no writes: {error}"
        finally:
            self._asked_at = None

    def _write(self) -> None:
        store = store_of(self._app)
        if store is None:
            backend, task_id = self._app.backend, f"readiness-{self._name}"
            backend.store_result(task_id, None, "PENDING")
            backend.forget(task_id)
            return
        if store.hold(f"worker#{self._name}", self._holder, NAME_SECONDS):
            self._name_taken_since = None
            return
        store.hold(f"worker#{self._name}#{self._holder}", self._holder, NAME_SECONDS)
        since = self._name_taken_since = self._name_taken_since or time.monotonic()
        if time.monotonic() - since > NAME_SECONDS:
            self._name_taken_since = time.monotonic()
            logger.error(
                "another worker is called %s, too: commands, attempts and Flower take both for one; give each its own"
                " name with -n",
                self._name,
                extra=event("worker_name_taken", worker=self._name),
            )

    def probe_sqs(self) -> None:
        """Make one call where none was answered of late, as when all slots are taken or all lanes paused."""
        clients, options = self._clients, self._options
        if clients is None or options is None:
            return
        queue = next(iter(self._app.conf.task_queues)).name
        if clients.record.silent_seconds < min(PROBE_SECONDS, options.lease_seconds / 3):
            return
        try:
            url = clients.queue_url(queue)
            ask: Any = clients.brief_client.get_queue_attributes
            clients.call("GetQueueAttributes", queue, ask, QueueUrl=url, AttributeNames=["QueueArn"])
        except SqsError:
            return  # it is noted with the answers


def _device_fault(states: Mapping[str, str]) -> str | None:
    if not states or "ready" in states.values():
        return None
    return f"no device has its models now: {', '.join(f'{name} is {state}' for name, state in states.items())}"
