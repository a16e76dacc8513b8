"""What does the transport cost a task, beside stock kombu? `python -m benchmarks.transport --rounds 5`.

Every round gives each contender the same filled queue on a fresh embedded server, one after the other. Figures
are medians over the rounds; JSON on standard output has every round's. A run in parts, each with every contender,
is made with `--after`. SQS requests are counted by the server. AWS may bring fewer messages a receive than the
embedded server, so requests a task are the server's, not AWS's.

Stock is Celery and kombu unmodified, with these settings beside the concurrency (32 threads, a process for each core):

defaults                a prefetch multiplier of 4. Receiving rests for a second whenever all slots are taken, so that
                        about as many tasks a second are done as there are slots
multiplier 100          prefork alone: 200 slots, and so about 200 tasks a second
without prefetch limit  a multiplier of 0, the best for prefork

The report's `ratios` has each one's, and `best stock` names the fastest of each pool and the ratio to that one. Other
settings are tried with `--stock prefork '{"worker_prefetch_multiplier": 16}'`. No contender has a result backend. A
round takes two and a half minutes.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil
from kombu import Connection, Producer

from benchmarks.machine import machine
from benchmarks.transport_worker import LANE
from celery_inference.sqs.api.client_factory import make_client
from celery_inference.sqs.queues import depths, provisioning
from celery_inference.sqs_local.child_process import LocalServer


@dataclass(frozen=True)
class Contender:
    """A worker: whose transport, Celery's pool, and the settings in which it differs from Celery's defaults.

    One that waits most of the time is given no more than `most_tasks`: with stock's defaults receiving rests for a
    second whenever all slots are taken, which is 9 tasks/s with prefork on 2 cores.
    """

    transport: str
    pool: str
    settings: dict[str, Any] = field(default_factory=dict)
    most_tasks: int = 1_000_000


OURS = "ours, threads"
UNLIMITED = {"worker_prefetch_multiplier": 0}
CONTENDERS = {
    OURS: Contender("ours", "threads", {"worker_prefetch_multiplier": 1, "task_acks_late": True}),
    "stock threads, defaults": Contender("stock", "threads", most_tasks=5_000),
    "stock threads, without prefetch limit": Contender("stock", "threads", UNLIMITED, most_tasks=5_000),
    "stock prefork, defaults": Contender("stock", "prefork", most_tasks=200),
    "stock prefork, multiplier 100": Contender("stock", "prefork", {"worker_prefetch_multiplier": 100}, 2_000),
    "stock prefork, without prefetch limit": Contender("stock", "prefork", UNLIMITED),
}
HANG_SECONDS = 300.0
OUR_OWN = ("GetQueueUrl", "GetQueueAttributes")  # how this script watches the queue


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--probes", type=int, default=100, help="idle latencies taken in a round")
    parser.add_argument("--concurrency", type=int, default=32, help="of the threads pools; prefork has the cores")
    parser.add_argument("--only", choices=sorted(CONTENDERS), action="append")
    parser.add_argument("--stock", nargs=2, action="append", metavar=("POOL", "SETTINGS"), help="stock, set otherwise")
    parser.add_argument("--after", type=Path, help="a report of before, on this machine, whose rounds count too")
    given = parser.parse_args()
    tried = {f"stock, {pool}, {text}": Contender("stock", pool, json.loads(text)) for pool, text in given.stock or []}
    contenders = {name: CONTENDERS[name] for name in given.only or CONTENDERS} | tried
    names = list(contenders)
    rounds = earlier(given.after, names, given.tasks) if given.after else {name: [] for name in names}
    for number in range(given.rounds):
        for name in names:
            figures = one_round(contenders[name], given.tasks, given.probes, given.concurrency)
            rounds[name].append(figures)
            print(f"round {number + 1}: {name}: {figures}", file=sys.stderr, flush=True)
    medians = {
        name: {figure: round(statistics.median(each[figure] for each in rounds[name]), 3) for figure in rounds[name][0]}
        for name in names
    }
    report: dict[str, Any] = {
        "machine": machine(),
        "tasks": given.tasks,
        "concurrency": given.concurrency,
        "contenders": {name: asdict(contender) for name, contender in contenders.items()},
        "medians": medians,
        "ratios": ratios(medians),
        "best stock": best_stock(contenders, medians),
        "rounds": rounds,
    }
    print(json.dumps(report, indent=2))


def earlier(report: Path, names: list[str], tasks: int) -> dict[str, list[dict[str, float]]]:
    """The rounds of a report, for a run in parts; one of another machine or other tasks is no part of this."""
    before = json.loads(report.read_text())
    if before["machine"] != machine() or before["tasks"] != tasks:
        raise SystemExit(f"{report} is of another machine, of other versions or of other tasks")
    return {name: list(before["rounds"][name]) for name in names}


def ratios(medians: dict[str, dict[str, float]]) -> dict[str, float]:
    ours = medians.get(OURS)
    if ours is None:
        return {}
    answer = {}
    for name, figures in medians.items():
        if name == OURS:
            continue
        answer[f"tasks/s over {name}"] = round(ours["tasks_per_second"] / figures["tasks_per_second"], 2)
        answer[f"CPU of {name}"] = round(ours["worker_cpu_ms_per_task"] / figures["worker_cpu_ms_per_task"], 2)
    return answer


def best_stock(contenders: dict[str, Contender], medians: dict[str, dict[str, float]]) -> dict[str, dict[str, Any]]:
    """Of each of stock's pools, the fastest setting that was measured, and how many times faster ours is."""
    speeds = {name: figures["tasks_per_second"] for name, figures in medians.items()}
    answer: dict[str, dict[str, Any]] = {}
    for pool in ("threads", "prefork"):
        names = [name for name, each in contenders.items() if (each.transport, each.pool) == ("stock", pool)]
        if not names or OURS not in speeds:
            continue
        best = max(names, key=lambda name: speeds[name])
        answer[pool] = {
            "setting": best,
            "tasks_per_second": speeds[best],
            "tasks/s over it": round(speeds[OURS] / speeds[best], 2),
        }
    return answer


def one_round(contender: Contender, tasks: int, probes: int, concurrency: int) -> dict[str, float]:
    transport, tasks = contender.transport, min(tasks, contender.most_tasks)
    with LocalServer() as server:
        client = make_client(endpoint_url=server.endpoint_url, region="us-east-1", access_key="k", secret_key="s")
        provisioning.create(client, LANE)
        broker = f"sqs://k:s@127.0.0.1:{server.port}//"
        figures = {
            "send_one_by_one_requests": send_cost(server, broker, transport, 100),
            "send_in_bulk_requests": fill(server, broker, tasks - 100),
        }
        before = calls(server)
        worker = start_worker(broker, contender, concurrency if contender.pool == "threads" else os.cpu_count() or 1)
        try:
            figures |= drain(client, worker, tasks)
            polls = calls(server) - before
            used = {operation: count for operation, count in polls.items() if operation not in OUR_OWN}
            figures["consume_requests_per_task"] = round(sum(used.values()) / tasks, 4)
            figures["messages_per_receive"] = round(tasks / max(1, used.get("ReceiveMessage", 0)), 2)
            figures |= latencies(broker, transport, probes)
        finally:
            worker.terminate()
            try:
                worker.wait(30)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
    consume = figures["consume_requests_per_task"]
    figures["requests_per_task_in_bulk"] = round(consume + figures["send_in_bulk_requests"], 4)
    figures["requests_per_task_one_by_one"] = round(consume + figures["send_one_by_one_requests"], 4)
    return figures


def calls(server: LocalServer) -> Counter[str]:
    with urllib.request.urlopen(f"{server.endpoint_url}/_local/calls", timeout=10) as answer:
        return Counter(json.load(answer))


def send_cost(server: LocalServer, broker: str, transport: str, count: int) -> float:
    """SQS requests a `delay()`, once its connection stands."""
    code = f"from benchmarks.transport_worker import noop; import sys\nfor _ in range({count}): noop.delay()"
    before = calls(server)
    subprocess.run([sys.executable, "-c", code], env=environment(broker, transport), check=True, timeout=HANG_SECONDS)
    sent = calls(server) - before
    return round(sum(sent.values()) / count, 3)


def fill(server: LocalServer, broker: str, count: int) -> float:
    """Put no-op tasks on the queue, ten a call, in a form that both read; SQS requests a message."""
    before = calls(server)
    with Connection(
        broker, transport="celery_inference.sqs.transport.connection:Transport", transport_options={"lanes": (LANE,)}
    ) as connection:
        producer = Producer(connection)
        with producer.batch():
            for number in range(count):
                identity = f"task-{number}"
                producer.publish(
                    ([], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}),
                    routing_key=LANE.name,
                    headers={"lang": "py", "task": "noop", "id": identity, "root_id": identity, "ignore_result": True},
                    correlation_id=identity,
                )
    sent = calls(server) - before
    return round(sum(sent.values()) / count, 4)


def environment(broker: str, transport: str) -> dict[str, str]:
    return os.environ | {
        "BENCH_BROKER": broker,
        "BENCH_TRANSPORT": transport,
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
    }


def start_worker(broker: str, contender: Contender, concurrency: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "celery", "-A", "benchmarks.transport_worker", "worker", "-l", "error"]
    command += ["-P", contender.pool, "-c", str(concurrency)]
    return subprocess.Popen(
        command,
        env=environment(broker, contender.transport) | {"BENCH_SETTINGS": json.dumps(contender.settings)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def drain(client: Any, worker: "subprocess.Popen[bytes]", tasks: int) -> dict[str, float]:
    """From the first delivery to the last delete."""
    deadline = time.monotonic() + HANG_SECONDS
    while depth(client).visible >= tasks:
        check(worker, deadline)
        time.sleep(0.01)
    started, cpu = time.monotonic(), cpu_seconds(worker.pid)
    while depth(client).total:
        check(worker, deadline)
        time.sleep(0.05)
    seconds = time.monotonic() - started
    return {
        "tasks_per_second": round(tasks / seconds, 1),
        "worker_cpu_ms_per_task": round((cpu_seconds(worker.pid) - cpu) / tasks * 1000, 3),
    }


def check(worker: "subprocess.Popen[bytes]", deadline: float) -> None:
    if worker.poll() is not None:
        raise RuntimeError(f"the worker ended with status {worker.returncode}")
    if time.monotonic() > deadline:
        raise RuntimeError("the queue did not become empty")


def depth(client: Any) -> depths.Depth:
    return depths.read_depths(client, [LANE])[0]


def cpu_seconds(pid: int) -> float:
    parent = psutil.Process(pid)
    processes = [parent, *parent.children(recursive=True)]
    return float(sum(times.user + times.system for times in (process.cpu_times() for process in processes)))


def latencies(broker: str, transport: str, count: int) -> dict[str, float]:
    """From `delay()` to the task's first line in an idle worker, milliseconds."""
    if not count:
        return {}
    code = (
        "import socket, sys, time\n"
        "from benchmarks.transport_worker import started\n"
        "sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); sock.bind(('127.0.0.1', 0)); sock.settimeout(30)\n"
        "port = sock.getsockname()[1]\n"
        f"for number in range({count} + 5):\n"
        "    time.sleep(0.03)\n"
        "    started.delay(time.monotonic(), port)\n"
        "    seconds = sock.recv(100).decode()\n"
        "    if number >= 5: print(seconds)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(broker, transport),
        check=True,
        timeout=HANG_SECONDS,
        capture_output=True,
        text=True,
    )
    taken = sorted(float(line) * 1000 for line in answer.stdout.split())
    return {
        "start_p50_ms": round(statistics.median(taken), 2),
        "start_p99_ms": round(taken[min(len(taken) - 1, int(len(taken) * 0.99))], 2),
    }


if __name__ == "__main__":
    main()
