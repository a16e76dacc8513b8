"""What events, remote control and Flower's depths cost on AWS: calls of 100 workers and one Flower, counted and priced.

    python -m benchmarks.broadcast_calls --seconds 600 unwatched idle
    python -m benchmarks.broadcast_calls --seconds 120 busy --rate 10

The members are the real ones (`celery_inference.sqs.broadcast.node`), a hundred in one process, against the embedded
server, and so
is Flower's watch of the depths (`monitor.queues.watcher`), with a page open unless `--no-viewer`; only the tasks are
made
up. What AWS bills is counted: a call is one request for each 64 KiB of its payload.
"""

import argparse
import json
import math
import platform
import threading
import time
import urllib.request
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

from celery.events.event import Event

from celery_inference.sqs.api.clients import SqsClients, SqsEndpoint
from celery_inference.sqs.broadcast.inbox import Inbox
from celery_inference.sqs.broadcast.node import Node
from celery_inference.sqs.lanes import LANES, Lane
from celery_inference.sqs.queues.depths import Depth, read_depths
from celery_inference.sqs.queues.provisioning import create
from celery_inference.sqs_local.child_process import LocalServer
from monitor.queues.poll_interval import MOVING_SECONDS
from monitor.queues.watcher import DepthWatch

DOLLARS_A_MILLION = 0.40  # https://aws.amazon.com/sqs/pricing/, standard queues, first tier, us-east-1
MONTH_SECONDS = 30 * 86_400
CHUNK_BYTES = 65_536
HEARTBEAT_SECONDS = 60.0  # tasks.worker.consumer.HEARTBEAT_SECONDS
AGES_SECONDS = 5.0  # tasks.worker.worker_stats.AGES_SECONDS
# As tasks.worker.worker_stats tells of four models on four devices.
FIGURES: dict[str, Any] = {
    "models": {
        f"model-{number}": {"batches": 1234, "rows": 9876, "tokens": 98765, "padded_tokens": 123456, "waits": 9876}
        for number in range(4)
    },
    "devices": {
        f"cuda:{number}": {
            "state": "ready",
            "restarts": 0,
            "memory": {"process": 2_345_678_912, "allocated": 12_345_678_912, "device": 85_899_345_920},
            "model_memory": {f"model-{model}": {"weights_bytes": 91_234_567} for model in range(4)},
        }
        for number in range(4)
    },
    "received": {},
    "held": {},
    "batch_sizes": {f"model-{number}": 64 for number in range(4)},
}
MEMBERS_AN_ACCOUNT = 20  # their long polls share a client's connections


class Bill:
    """Requests as AWS counts them, by operation. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.requests: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()

    def watch(self, clients: SqsClients) -> None:
        for client in (clients.client, clients.polling_client, clients.brief_client, clients.ending_client):
            events = client.meta.events
            events.register("provide-client-params.sqs.*", self._sent)
            events.register("after-call.sqs.ReceiveMessage", self._received)

    def _sent(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        if model.name != "ReceiveMessage":
            self._count(model.name, len(str(params.get("MessageBody", "")).encode()))

    def _received(self, parsed: dict[str, Any], **_: Any) -> None:
        self._count("ReceiveMessage", sum(len(message["Body"].encode()) for message in parsed.get("Messages", [])))

    def _count(self, operation: str, size: int) -> None:
        with self._lock:
            self.calls[operation] += 1
            self.bytes[operation] += size
            self.requests[operation] += max(1, math.ceil(size / CHUNK_BYTES))

    def reset(self) -> None:
        with self._lock:
            for counter in (self.requests, self.calls, self.bytes):
                counter.clear()


class Worker:
    """A member that sends what a worker does."""

    def __init__(self, number: int, clients: SqsClients, prefix: str) -> None:
        self.name = f"celery@ip-10-0-{number // 256}-{number % 256}.ec2.internal"
        self.node = Node(clients, prefix)
        self.node.open_control(self.name, Inbox(f"{self.name}.celery.pidbox", None, SimpleQueue()))
        self.clock, self.told_at = 0, 0.0

    def send(self, kind: str, **fields: Any) -> None:
        self.clock += 1
        event = Event(kind, hostname=self.name, utcoffset=0, pid=4711, clock=self.clock, **fields)
        message = {
            "body": json.dumps(event),
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": {"hostname": self.name},
            "properties": {"delivery_mode": 1, "priority": 0, "delivery_info": {"exchange": "celeryev"}},
        }
        self.node.event(message, kind.replace("-", "."))

    def beat(self) -> None:
        system = {"sw_ident": "py-celery", "sw_ver": "5.7.0", "sw_sys": "Linux"}
        self.send(
            "worker-heartbeat", freq=HEARTBEAT_SECONDS, active=8, processed=self.clock, loadavg=[0.1] * 3, **system
        )
        self.send("inference-stats", **FIGURES)

    def task(self) -> None:
        task, name = str(uuid.uuid4()), "celery_inference.feature_extraction"
        said = {"args": "(1 inputs)", "kwargs": "{'model': 'all-minilm-l6-v2'}"}
        if time.monotonic() - self.told_at > AGES_SECONDS:
            self.told_at = time.monotonic()
            self.send("inference-ages", received={"inference": 0.123}, held={"inference": 0.123})
        self.send("task-received", uuid=task, name=name, root_id=task, parent_id=None, retries=0, eta=None, **said)
        self.send("task-started", uuid=task)
        self.send("task-succeeded", uuid=task, result="...", runtime=0.0123 + time.time() % 1 / 100)


def watch_of(clients: SqsClients) -> DepthWatch:
    """Flower's watch of the declared lanes, which are made first."""
    for lane in LANES:
        create(clients.client, lane)

    def read(lane: Lane) -> list[Depth]:
        return read_depths(clients.client, [lane], clients.queue_url)

    return DepthWatch(LANES, read)


def run(scenario: str, workers: list[Worker], seconds: float, rate: float, viewed: DepthWatch | None = None) -> int:
    """Send for so long what the workers of a scenario send; returns how many tasks that were."""
    began, done = time.monotonic(), 0
    beats = [began + HEARTBEAT_SECONDS * number / len(workers) for number in range(len(workers))]
    while (now := time.monotonic()) < began + seconds:
        for number, worker in enumerate(workers):
            if beats[number] <= now:
                beats[number] += HEARTBEAT_SECONDS
                worker.beat()
        due = int((now - began) * rate * len(workers)) if scenario == "busy" else 0
        for _ in range(min(due - done, 500)):
            workers[done % len(workers)].task()
            done += 1
        if viewed is not None:
            viewed.look()  # more often than a page, which makes no difference
        time.sleep(0.02)
    return done


def measure(scenario: str, count: int, seconds: float, rate: float, *, viewer: bool) -> dict[str, Any]:
    with LocalServer() as server:
        bill, of_depths, workers, accounts = Bill(), Bill(), [], []
        for number in range(count):
            if number % MEMBERS_AN_ACCOUNT == 0:
                accounts.append(SqsClients(SqsEndpoint(server.endpoint_url, "us-east-1", "key", "secret")))
                bill.watch(accounts[-1])
            workers.append(Worker(number, accounts[-1], "bc"))
        received: SimpleQueue[Any] = SimpleQueue()
        watcher, depths = None, None
        if scenario != "unwatched":
            accounts.append(SqsClients(SqsEndpoint(server.endpoint_url, "us-east-1", "key", "secret")))
            bill.watch(accounts[-1])
            watcher = Node(accounts[-1], "bc")
            watcher.open_events(Inbox("celeryev.flower", None, received))
            flower = SqsClients(SqsEndpoint(server.endpoint_url, "us-east-1", "key", "secret"))
            depths = watch_of(flower)
            of_depths.watch(flower)
            depths.start()
        viewed = depths if viewer else None
        # Until all have joined and know each other, and the depths of idle lanes are calm.
        run(scenario, workers, MOVING_SECONDS + 5.0 if scenario == "idle" else 30.0, rate, viewed)
        bill.reset()
        of_depths.reset()
        before = _calls(server)
        began = time.monotonic()
        tasks = run(scenario, workers, seconds, rate, viewed)
        took = time.monotonic() - began
        served = _calls(server) - before
        if depths is not None:
            depths.stop()
        requests = bill.requests + Counter({f"{name} of depths": n for name, n in of_depths.requests.items()})
        groups, sent_bytes = bill.calls["SendMessage"], bill.bytes["SendMessage"]
        dollars = {
            name: round(number / took * MONTH_SECONDS / 1e6 * DOLLARS_A_MILLION, 2)
            for name, number in sorted(requests.items())
        }
        members = [worker.node for worker in workers] + ([watcher] if watcher is not None else [])
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(Node.close, members))
        return {
            "scenario": scenario,
            "workers": count,
            "tasks_a_second_and_worker": round(tasks / took / count, 2),
            "seconds": round(took, 1),
            "calls_served": dict(served),
            "page_open": viewed is not None,
            "requests_billed": dict(requests),
            "bytes_a_group": round(sent_bytes / groups) if groups else 0,
            "dollars_a_month": dollars,
            "dollars_a_month_in_all": round(sum(dollars.values()), 2),
        }


def _calls(server: LocalServer) -> Counter[str]:
    with urllib.request.urlopen(f"{server.endpoint_url}/_local/calls", timeout=30) as answer:
        return Counter(json.loads(answer.read()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenarios", nargs="+", choices=("unwatched", "idle", "busy"))
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--rate", type=float, default=10.0, help="tasks a second and worker, of `busy`")
    parser.add_argument("--no-viewer", action="store_true", help="nobody looks at Flower's pages")
    given = parser.parse_args()
    for scenario in given.scenarios:
        report = measure(scenario, given.workers, given.seconds, given.rate, viewer=not given.no_viewer)
        report["machine"] = {"python": platform.python_version(), "system": platform.platform()}
        print(json.dumps(report, indent=2), flush=True)


if __name__ == "__main__":
    main()
