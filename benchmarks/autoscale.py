"""How soon does a fleet follow a flood, and what does it cost in idle GPU-seconds? A discrete-event simulation.

`python -m benchmarks.autoscale` prints JSON. The flood is the one that Ray Serve published figures of (50, 100 and
again 50 requests/s, 67,000 in all, four workers; 155 s to the full fleet, 5 s from idle to release): here 300 s of
50/s, 370 s of 100/s and 300 s of 50/s. Every scaler drives the same simulated workers. Boot time is the same for
all and is taken off the times to the full fleet; 0.0 means that the fleet was full before the flood began.

The others' rules are their documented ones: CloudWatch target tracking (a figure a minute, a minute late; out after
three of them, in after fifteen), KEDA on Kubernetes (looks each 30 s from zero, then the horizontal autoscaler each
15 s, doubling at most; 300 s of stabilization before it shrinks, 300 s of cooldown before zero).
docs.aws.amazon.com/autoscaling/ec2/userguide/as-scaling-target-tracking.html;
kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale; keda.sh/docs/latest/reference/scaledobject-spec.
"""

import argparse
import heapq
import itertools
import json
import math
import statistics
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.machine import machine
from tasks.autoscale.policy import FleetReading, Goal, Policy

PHASES = ((300.0, 50.0), (370.0, 100.0), (300.0, 50.0))  # seconds, requests/s
WORKERS = 4
PER_WORKER = 27.0  # requests/s; four keep up with the flood, with little to spare
TARGET_WAIT_SECONDS = 30.0
PUBLISHED = {"full_fleet_seconds": 155.0, "idle_release_seconds": 5.0}


@dataclass(eq=False)
class Worker:
    """One host: ordered, then running, serving one request after the other."""

    ordered_at: float
    busy: bool = False
    running: bool = False
    leaving: bool = False
    busy_seconds: float = 0.0


@dataclass
class World:
    """The queue, the fleet and what happened to both."""

    boot_seconds: float
    now: float = 0.0
    queue: deque[float] = field(default_factory=deque)
    workers: list[Worker] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    finished: int = 0
    gpu_seconds: float = 0.0
    busy_seconds: float = 0.0
    fleet: list[tuple[float, int]] = field(default_factory=list)  # (when, running)
    last_finished_at: float = 0.0
    _events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: Any = field(default_factory=itertools.count)

    def at(self, when: float, do: Callable[[], None]) -> None:
        """Let something happen."""
        heapq.heappush(self._events, (when, next(self._numbers), do))

    def run(self, until: float) -> None:
        """Let everything happen that does before `until`."""
        while self._events and self._events[0][0] <= until:
            self.now, _, do = heapq.heappop(self._events)
            do()
        self.now = until
        for worker in list(self.workers):
            self._end(worker)

    def reading(self) -> FleetReading:
        """What a scaler that asks sees."""
        return FleetReading(
            at=self.now,
            visible=len(self.queue),
            in_flight=sum(worker.busy for worker in self.workers),
            ordered=sum(not worker.leaving for worker in self.workers),
            running=sum(worker.running and not worker.leaving for worker in self.workers),
            busy=sum(worker.busy for worker in self.workers),
            finished=self.finished,
        )

    def resize(self, wanted: int) -> None:
        """Order workers, or let idle ones go; one that is busy goes when it has finished."""
        staying = [worker for worker in self.workers if not worker.leaving]
        for _ in range(wanted - len(staying)):
            worker = Worker(self.now)
            self.workers.append(worker)
            self.at(self.now + self.boot_seconds, lambda worker=worker: self._start(worker))  # type: ignore[misc]
        surplus = sorted(staying, key=lambda worker: (worker.busy, worker.running))[: max(0, len(staying) - wanted)]
        for worker in surplus:
            worker.leaving = True
            if not worker.busy:
                self._end(worker)

    def arrive(self) -> None:
        """One request."""
        self.queue.append(self.now)
        self._serve()

    def _start(self, worker: Worker) -> None:
        if worker in self.workers:
            worker.running = True
            self._note()
            self._serve()

    def _end(self, worker: Worker) -> None:
        self.workers.remove(worker)
        self.gpu_seconds += self.now - worker.ordered_at
        self.busy_seconds += worker.busy_seconds
        self._note()

    def _note(self) -> None:
        self.fleet.append((self.now, sum(worker.running for worker in self.workers)))

    def _serve(self) -> None:
        for worker in self.workers:
            if not self.queue:
                return
            if worker.running and not worker.busy and not worker.leaving:
                worker.busy = True
                self.waits.append(self.now - self.queue.popleft())
                self.at(self.now + 1.0 / PER_WORKER, lambda worker=worker: self._finish(worker))  # type: ignore[misc]

    def _finish(self, worker: Worker) -> None:
        worker.busy = False
        worker.busy_seconds += 1.0 / PER_WORKER
        self.finished += 1
        self.last_finished_at = self.now
        if worker.leaving:
            self._end(worker)
        self._serve()


def ours(world: World, poll_seconds: float = 2.0) -> None:
    """`celery-inference autoscale`."""
    goal = Goal(
        requests_per_second=PER_WORKER,
        target_wait_seconds=TARGET_WAIT_SECONDS,
        start_seconds=world.boot_seconds,
        settle_seconds=2.0,
        headroom=1.05,
        maximum=WORKERS,
    )
    policy = Policy(goal)

    def look() -> None:
        world.resize(policy.desired(world.reading()))
        world.at(world.now + poll_seconds, look)

    look()


def target_tracking(world: World) -> None:
    """CloudWatch target tracking of the backlog a worker, woken from zero by an alarm of one minute."""
    target = PER_WORKER * TARGET_WAIT_SECONDS
    figures: deque[tuple[float, float, int]] = deque(maxlen=15)  # (a worker's backlog, visible, workers)
    seen: list[tuple[float, float, int]] = []

    def measure() -> None:
        reading = world.reading()
        seen.append((reading.backlog / max(1, reading.running), float(reading.visible), reading.ordered))
        world.at(world.now + 60.0, look)
        world.at(world.now + 60.0, measure)

    def look() -> None:
        figures.append(seen.pop(0))
        per_worker, visible, _ = figures[-1]
        ordered = world.reading().ordered
        if ordered == 0:
            if visible > 0:
                world.resize(min(WORKERS, max(1, math.ceil(visible / target))))
            return
        if len(figures) >= 3 and all(figure[0] > target for figure in list(figures)[-3:]):
            world.resize(min(WORKERS, max(ordered + 1, math.ceil(ordered * per_worker / target))))
        elif len(figures) == 15 and all(figure[0] < 0.9 * target for figure in figures):
            world.resize(max(0, math.ceil(ordered * per_worker / target)))
            figures.clear()

    measure()


def keda(world: World) -> None:
    """KEDA's aws-sqs-queue scaler and Kubernetes' horizontal autoscaler."""
    target = PER_WORKER * TARGET_WAIT_SECONDS
    wishes: deque[tuple[float, int]] = deque()
    active_at = [-math.inf]

    def look() -> None:
        reading = world.reading()
        ordered = reading.ordered
        if reading.backlog:
            active_at[0] = world.now
        if ordered == 0:
            if reading.backlog:
                world.resize(1)
            world.at(world.now + (15.0 if reading.backlog else 30.0), look)
            return
        wish = min(WORKERS, max(1, math.ceil(reading.backlog / target)))
        wishes.append((world.now, wish))
        while wishes[0][0] < world.now - 300.0:
            wishes.popleft()
        if wish > ordered:
            world.resize(min(wish, max(2 * ordered, ordered + 4)))
        else:
            world.resize(max(wished for _, wished in wishes))
        if world.now - active_at[0] >= 300.0:
            world.resize(0)
        world.at(world.now + 15.0, look)

    look()


def simulate(scaler: Callable[[World], None], boot_seconds: float) -> dict[str, Any]:
    """One run over the whole flood and 30 minutes after it."""
    world = World(boot_seconds)
    at = 0.0
    starts = []
    for seconds, rate in PHASES:
        starts.append(at)
        for number in range(int(seconds * rate)):
            world.at(at + number / rate, world.arrive)
        at += seconds
    scaler(world)
    world.run(at + 1_800.0)
    full = next((when for when, running in world.fleet if running >= WORKERS and when >= starts[1]), None)
    if any(running >= WORKERS for when, running in world.fleet if when < starts[1]):
        running_before = [running for when, running in world.fleet if when < starts[1]][-1]
        full = starts[1] if running_before >= WORKERS else full
    released = next((when for when, running in world.fleet if running == 0 and when >= world.last_finished_at), None)
    waits = sorted(world.waits)
    return {
        "requests": world.finished,
        "full_fleet_seconds_net_of_boot": None if full is None else round(max(0.0, full - starts[1] - boot_seconds), 1),
        "idle_release_seconds": None if released is None else round(released - world.last_finished_at, 1),
        "idle_gpu_seconds": round(world.gpu_seconds - world.busy_seconds),
        "gpu_seconds": round(world.gpu_seconds),
        "wait_p50_seconds": round(statistics.median(waits), 2),
        "wait_p99_seconds": round(waits[int(0.99 * len(waits))], 2),
    }


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boot-seconds", type=float, default=60.0)
    boot = parser.parse_args().boot_seconds
    scalers = {"celery-inference autoscale": ours, "CloudWatch target tracking": target_tracking, "KEDA": keda}
    print(
        json.dumps(
            {
                "machine": machine(),
                "boot_seconds": boot,
                "requests_per_second_per_worker": PER_WORKER,
                "published_of_ray_serve": PUBLISHED,
                "scalers": {name: simulate(scaler, boot) for name, scaler in scalers.items()},
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
