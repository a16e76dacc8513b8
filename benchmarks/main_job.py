"""From queue to stored result: our worker, stock Celery prefork and an offline loop, interleaved in one run.

The queue is filled before a worker starts, and throughput counts from the first tenth of stored results to the
last, so that start-up is nobody's cost. Stock Celery is measured with one prefork child that has all threads and
with one a core, and its best setting is compared with. All three run the same MiniLM on the same texts; both
workers use the same embedded server and the same kind of result store.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from demo.processes import ROOT, Process
from demo.stack import Stack

MODEL = ROOT / "var" / "models" / "all-minilm-l6-v2"
CATALOGUE = f"""
[all-minilm-l6-v2]
task = "feature-extraction"
source = "{MODEL}"
normalize = true
"""
SECONDS = 600.0


def texts(count: int, least: int, most: int) -> list[str]:
    """Random texts of so many words, the same at each run."""
    chance = random.Random(3)
    words = (ROOT / "demo" / "texts.txt").read_text(encoding="utf-8").split()
    return [" ".join(chance.choices(words, k=chance.randint(least, most))) for _ in range(count)]


def sqs_calls(stack: Stack) -> int:
    """How many requests the embedded server has answered."""
    with urllib.request.urlopen(f"{stack.endpoint}/_local/calls", timeout=5.0) as response:
        calls: dict[str, int] = json.load(response)
    return sum(calls.values())


def steady_rate(results: Sequence[Any]) -> float:
    """Wait for all results; how many were stored a second, from the first tenth on."""
    until = time.monotonic() + SECONDS
    for result in results:
        while not result.ready():
            if time.monotonic() > until:
                raise TimeoutError("results are missing")
            time.sleep(0.02)
        if result.state != "SUCCESS":
            raise RuntimeError(f"a request ended as {result.state}: {result.result!r}")
    times = sorted(result.date_done.timestamp() for result in results)
    first = len(times) // 10
    seconds: float = times[-1] - times[first]
    return (len(times) - 1 - first) / seconds


def offline(inputs: list[str], threads: int, *, batch: int = 16, wait: str = "ACTIVE") -> dict[str, Any]:
    """Texts a second of a loop without a queue, and the seconds of each batch; `wait` is OpenMP's."""
    command = [sys.executable, "-m", "benchmarks.offline", "--model", str(MODEL)]
    command += ["--threads", str(threads), "--batch", str(batch)]
    environment = {**os.environ, "OMP_WAIT_POLICY": wait, "OMP_NUM_THREADS": str(threads)}
    ended = subprocess.run(
        command, cwd=ROOT, input=json.dumps(inputs), capture_output=True, text=True, check=True, env=environment
    )
    figures: dict[str, Any] = json.loads(ended.stdout)
    return figures


def cpu_seconds(pid: int) -> float:
    """Of the process alone, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """What the process has in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def p99(values: Sequence[float]) -> float:
    """The ninety-ninth percentile, by rank."""
    return sorted(values)[max(0, -(-len(values) * 99 // 100) - 1)]


def through_a_worker(
    stack: Stack, delay: Callable[[str], Any], start: Callable[[], Process], inputs: list[str], one_by_one: int
) -> dict[str, Any]:
    """Throughput, CPU and SQS requests a task of a full queue, then latencies with one request in flight."""
    calls = sqs_calls(stack)
    results = [delay(text) for text in inputs]
    worker = start()
    # From here to the last result: what the worker's parent and the server themselves cost, without the model.
    parent, server = cpu_seconds(worker.pid), cpu_seconds(stack.server.pid)
    rate = steady_rate(results)
    time.sleep(0.5)  # the last acknowledgements
    parent, server = cpu_seconds(worker.pid) - parent, cpu_seconds(stack.server.pid) - server
    calls = sqs_calls(stack) - calls
    latencies, stored = [], []
    for text in inputs[:one_by_one]:
        begun, at = time.perf_counter(), time.time()
        result = delay(text)
        result.get(timeout=60)
        latencies.append(time.perf_counter() - begun)
        stored.append(result.date_done.timestamp() - at)
    figures = {
        "texts_per_second": rate,
        "parent_cpu_ms_per_request": 1e3 * parent / len(inputs),
        "server_cpu_ms_per_request": 1e3 * server / len(inputs),
        "parent_memory_mb": memory_mb(worker.pid),
        "sqs_requests_per_task": calls / len(inputs),
        "latency_p50_ms": statistics.median(latencies) * 1e3,
        "latency_p99_ms": p99(latencies) * 1e3,
        "stored": stored,
    }
    worker.stop(timeout_seconds=5.0)
    return figures


def ours(folder: Path, inputs: list[str], one_by_one: int) -> dict[str, Any]:
    """Our worker, with nothing set but where things are."""
    from tasks import feature_extraction
    from tests.support.client import client_of

    folder.mkdir(parents=True)
    (folder / "catalogue.toml").write_text(CATALOGUE)
    with Stack(folder, catalogue=folder / "catalogue.toml") as stack, client_of(stack):
        stack.start_server()
        return through_a_worker(stack, feature_extraction.delay, stack.start_worker, inputs, one_by_one)


def stock(folder: Path, inputs: list[str], one_by_one: int, children: int, threads: int) -> dict[str, Any]:
    """Stock Celery with prefork children that load the model."""
    with Stack(folder) as stack:
        stack.environment |= {
            "STOCK_BROKER_URL": f"sqs://local:local@127.0.0.1:{stack.port}//",
            "STOCK_BACKEND": stack.environment["CELERY_RESULT_BACKEND"],
            "STOCK_MODEL": str(MODEL),
            "STOCK_THREADS": str(threads),
        }
        # Its own variables alone: Celery would take CELERY_RESULT_BACKEND for our application's, too.
        os.environ.update({name: value for name, value in stack.environment.items() if name.startswith("STOCK_")})
        sys.modules.pop("benchmarks.stock_worker", None)
        from benchmarks.stock_worker import embed

        stack.start_server()

        def start() -> Process:
            options = ("--concurrency", str(children), "--pool", "prefork", "--loglevel", "info")
            return stack.start("stock", "celery", "-A", "benchmarks.stock_worker", "worker", *options).wait_until(
                lambda text: " ready." in text, 120.0
            )

        return through_a_worker(stack, embed.delay, start, inputs, one_by_one)


def median(rounds: Sequence[dict[str, Any]], key: str) -> float:
    """The median of one figure over the rounds."""
    return float(statistics.median(one[key] for one in rounds))


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--one-by-one", type=int, default=50)
    parser.add_argument("--stock-rounds", type=int, default=99, help="how many of the rounds have stock Celery, too")
    parser.add_argument("--words", type=int, nargs=2, default=(5, 200), metavar=("LEAST", "MOST"))
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    inputs = texts(arguments.requests, *arguments.words)
    # Celery's default is a child a core, and torch's all threads in each; a thread each is the better setting.
    settings = [(cores, 1), (cores, cores)]
    loops = [(cores, "ACTIVE"), (cores, "PASSIVE"), (1, "PASSIVE")]
    rounds: dict[str, list[Any]] = {f"offline {t} {w.lower()}": [] for t, w in loops} | {"ours": []}
    rounds |= {f"stock {c}x{t}": [] for c, t in settings}
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        for number in range(arguments.rounds):
            base = Path(temporary) / str(number)
            for t, w in loops:
                figures = offline(inputs, t, wait=w)
                rounds[f"offline {t} {w.lower()}"].append({"texts_per_second": figures["texts_per_second"]})
            alone = offline(inputs[: arguments.one_by_one], cores, batch=1, wait="PASSIVE")["seconds"]
            for name, figures in (
                ("ours", ours(base / "ours", inputs, arguments.one_by_one)),
                *(
                    (f"stock {c}x{t}", stock(base / f"stock-{c}x{t}", inputs, arguments.one_by_one, c, t))
                    for c, t in (settings if number < arguments.stock_rounds else [])
                ),
            ):
                beside = [whole - model for whole, model in zip(figures.pop("stored"), alone, strict=True)]
                figures["stored_less_model_p50_ms"] = statistics.median(beside) * 1e3
                figures["stored_less_model_p99_ms"] = p99(beside) * 1e3
                rounds[name].append(figures)
            so_far = {name: figures[-1] for name, figures in rounds.items() if figures}
            print(f"round {number + 1} of {arguments.rounds}: {json.dumps(so_far)}", file=sys.stderr)
    rounds = {name: figures for name, figures in rounds.items() if figures}
    speed = {name: median(figures, "texts_per_second") for name, figures in rounds.items()}
    best = max((name for name in speed if name.startswith("stock")), key=speed.__getitem__, default="")
    loop = max((name for name in speed if name.startswith("offline")), key=speed.__getitem__)
    report = {
        "question": "from queue to stored result, one text a request",
        "machine": machine(),
        "requests": arguments.requests,
        "words": list(arguments.words),
        "ratios": {
            f"throughput, ours over {loop} (threads, how they wait)": speed["ours"] / speed[loop],
            **({f"throughput, ours over {best} (children x threads)": speed["ours"] / speed[best]} if best else {}),
        },
        "medians": {name: {key: median(figures, key) for key in figures[0]} for name, figures in rounds.items()},
        "rounds": rounds,
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
