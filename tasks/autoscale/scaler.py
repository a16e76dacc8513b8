"""The loop of `celery-inference autoscale`: look, decide, ask the fleet; one holder of the lease acts."""

import os
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from celery_inference.results.protocol import StoreUnavailable
from celery_inference.results.store.store import ResultStore
from celery_inference.sqs.errors import QueueMissingError, SqsError
from celery_inference.sqs.lanes import Lane
from celery_inference.sqs.queues.depths import read_depths
from tasks.autoscale.fleets import Fleet, FleetError
from tasks.autoscale.policy import FleetReading, Policy
from tasks.autoscale.stop_flag import StopFlag

LEASE = "autoscale"


class Workers(Protocol):
    """What the workers say of themselves."""

    def ask(self) -> tuple[int, int | None]:
        """How many hold requests, and how many requests they have finished since some beginning (None: unknown)."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One look: what was there, and what is wanted. `why_not` says why nothing was asked of the fleet."""

    reading: FleetReading
    wanted: int
    why_not: str | None = None

    def __str__(self) -> str:
        reading = self.reading
        text = (
            f"{reading.visible} visible, {reading.in_flight} in flight; {reading.running} of {reading.ordered} workers "
            f"run, {reading.busy} busy; wanted {self.wanted}"
        )
        return f"{text} ({self.why_not})" if self.why_not else text


class Scaler:
    """Not thread-safe. `store` keeps the lease of one holder; None where this is the only scaler."""

    def __init__(
        self,
        policy: Policy,
        fleet: Fleet,
        workers: Workers,
        *,
        sqs: Any,
        lanes: Sequence[Lane],
        store: ResultStore | None,
    ) -> None:
        self._policy, self._fleet, self._workers = policy, fleet, workers
        self._sqs, self._lanes, self._store = sqs, lanes, store
        self._holder = f"{socket.gethostname()}-{os.getpid()}"

    def look(self) -> Decision:
        """Read the lanes, the fleet and the workers, and decide. Blocks.

        Raises:
            FleetError, SqsError, botocore's errors: what could not be read; nothing is to be changed then. A queue that
                is missing is no empty one: the region or the account may be another's.
        """
        depths = [depth for depth in read_depths(self._sqs, self._lanes) if not depth.dead_letter_queue]
        for depth in depths:
            if depth.missing:
                raise QueueMissingError("GetQueueUrl", depth.queue)
        size = self._fleet.size()
        in_flight = sum(depth.in_flight for depth in depths)
        busy, finished = self._workers.ask()
        reading = FleetReading(
            at=time.monotonic(),
            visible=sum(depth.visible for depth in depths),
            in_flight=in_flight,
            ordered=size.ordered,
            running=size.running,
            busy=min(busy, size.ordered),
            finished=finished,
        )
        return Decision(reading, self._policy.desired(reading))

    def act(self, decision: Decision, *, lease_seconds: float) -> Decision:
        """Ask the fleet for what is wanted, when that differs and the lease is ours.

        Raises:
            FleetError: it was refused.
        """
        if decision.wanted == decision.reading.ordered:
            return decision
        if self._store is not None:
            try:
                ours = self._store.hold(LEASE, self._holder, lease_seconds)
            except StoreUnavailable as error:
                return Decision(decision.reading, decision.wanted, f"the lease cannot be taken: {error}")
            if not ours:
                return Decision(decision.reading, decision.wanted, "another scaler holds the lease")
        self._fleet.resize(decision.wanted)
        return decision

    def run(self, stop: StopFlag, every_seconds: float, say: Callable[[str], None], *, dry_run: bool) -> bool:
        """Look and act until `stop` is set; what fails is said, and tried again at the next look.

        Whether the last look succeeded.
        """
        said, looked = "", True
        while not stop.is_set():
            try:
                decision = self.look()
                if dry_run:
                    decision = Decision(decision.reading, decision.wanted, "dry run")
                else:
                    decision = self.act(decision, lease_seconds=max(30.0, 5 * every_seconds))
                text, looked = str(decision), True
            except (FleetError, SqsError, BotoCoreError, ClientError) as error:
                text, looked = f"nothing is changed: {error}", False
            if text != said:
                say(text)
                said = text
            stop.wait(every_seconds)
        if self._store is not None and not dry_run:
            with suppress(StoreUnavailable):  # it ends by itself
                self._store.let_go(LEASE, self._holder)
        return looked
