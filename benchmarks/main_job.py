"""From queue to stored result: our worker, stock Celery prefork and an offline loop, interleaved in one run.

The queue is filled before a worker starts, and throughput and CPU count from when it is ready to its last stored
result. Stock Celery is measured with children of all threads and with a child a core of one thread each, ours with one
device process of all threads and with one a core of one thread each; the best of both are compared. All run the same
model on the same texts; both workers use the same embedded server and the same kind of result store.

`--layers 24` takes a model that costs four times as much instead of MiniLM, with random weights. `--spare` gives the
model one core, and everything else the others. On a host with a GPU all three use it.
"""

import argparse
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from benchmarks.processes import cpu_seconds, memory_mb, move, on_cores, peak_memory_mb
from demo.processes import ROOT, Process
from demo.stack import Stack

MODEL = ROOT / "var" / "models" / "all-minilm-l6-v2"
SECONDS = 600.0
ALL_CORES = frozenset(os.sched_getaffinity(0))
LINE = re.compile(r"^\[(\S+ \S+):.*\[([0-9a-f-]{36})\] (received|succeeded)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Setting:
    """What a run is about: the model's folder, the cores that it has, the rest having `others`, and rows a batch."""

    model: Path
    cores: frozenset[int]
    others: frozenset[int]
    batch: int

    @property
    def catalogue(self) -> str:
        """Of our worker."""
        facts = f'source = "{self.model}"\nbatch_size = {self.batch}\nnormalize = true\n'
        return f'[one]\ntask = "feature-extraction"\n{facts}'


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


def wait_for(results: Sequence[Any]) -> list[float]:
    """Wait for all results; the times at which they were stored, in order."""
    until = time.monotonic() + SECONDS
    for result in results:
        while not result.ready():
            if time.monotonic() > until:
                raise TimeoutError("results are missing")
            time.sleep(0.02)
        if result.state != "SUCCESS":
            raise RuntimeError(f"a request ended as {result.state}: {result.result!r}")
    return sorted(result.date_done.timestamp() for result in results)


def offline(
    setting: Setting, inputs: list[str], threads: int, *, batch: int | None = None, wait: str = "ACTIVE"
) -> dict[str, Any]:
    """Texts a second of a loop without a queue, and the seconds of each batch; `wait` is OpenMP's."""
    command = [sys.executable, "-m", "benchmarks.offline", "--model", str(setting.model)]
    command += ["--threads", str(threads), "--batch", str(batch or setting.batch)]
    environment = {**os.environ, "OMP_WAIT_POLICY": wait, "OMP_NUM_THREADS": str(threads)}
    with on_cores(setting.cores):
        ended = subprocess.run(
            command, cwd=ROOT, input=json.dumps(inputs), capture_output=True, text=True, check=True, env=environment
        )
    figures: dict[str, Any] = json.loads(ended.stdout)
    return figures


def p99(values: Sequence[float]) -> float:
    """The ninety-ninth percentile, by rank."""
    return sorted(values)[max(0, -(-len(values) * 99 // 100) - 1)]


def greatest_age(log: str) -> float:
    """Seconds that the request was held which our worker held longest, from its receipt to its stored result."""
    received: dict[str, float] = {}
    ages = [0.0]
    for stamp, task_id, word in LINE.findall(log):
        at = datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S,%f").timestamp()  # noqa: DTZ007 - only differences count
        if word == "received":
            received[task_id] = at
        elif task_id in received:
            ages.append(at - received[task_id])
    return max(ages)


def through_a_worker(
    stack: Stack,
    setting: Setting,
    delay: Callable[[str], Any],
    start: Callable[[], Process],
    inputs: list[str],
    one_by_one: int,
    told: Callable[[Process], dict[str, float]] | None = None,
) -> dict[str, Any]:
    """Throughput, CPU and SQS requests a task of a full queue, then latencies with one request in flight."""
    calls = sqs_calls(stack)
    results = [delay(text) for text in inputs]
    with on_cores(setting.cores):
        worker = start()
    for pid in (worker.pid, stack.server.pid):
        move(pid, setting.others)
    idle, ready = memory_mb(worker.pid), time.time()
    parent, server = cpu_seconds(worker.pid), cpu_seconds(stack.server.pid)
    times = wait_for(results)
    time.sleep(1.2)  # the last acknowledgements
    parent, server = cpu_seconds(worker.pid) - parent, cpu_seconds(stack.server.pid) - server
    calls = sqs_calls(stack) - calls
    # Stock Celery's children load their model after it says that it is ready, so its first tenth is left out. Ours
    # counts from there on: its results come in batches, the first of which would else cost nothing.
    first = 0 if told else len(times) // 10
    rate = (len(times) - first) / (times[-1] - (ready if told else times[first]))
    more = told(worker) if told else {}
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
        "parent_idle_memory_mb": idle,
        "parent_peak_memory_mb": peak_memory_mb(worker.pid),
        "sqs_requests_per_task": calls / len(inputs),
        **({"latency_p50_ms": statistics.median(latencies) * 1e3} if latencies else {}),
        **({"latency_p99_ms": p99(latencies) * 1e3} if latencies else {}),
        "stored": stored,
        **more,
    }
    worker.stop(timeout_seconds=5.0)
    return figures


def told_by_ours(worker: Process) -> dict[str, float]:
    """What our worker's log and its engine say of all its batches."""
    from celery_inference import app

    (stats,) = app.control.inspect(timeout=10.0, limit=1).stats().values()
    totals = stats["pool"]["engine"]["models"]["one"]
    return {
        "greatest_held_seconds": greatest_age(worker.text()),
        "padded_over_real_tokens": totals["padded_tokens"] / totals["tokens"],
        "rows_per_batch": totals["rows"] / totals["batches"],
    }


def ours(folder: Path, setting: Setting, inputs: list[str], one_by_one: int, processes: int) -> dict[str, Any]:
    """Our worker, with nothing set but where things are, and how many device processes share the CPU where more do."""
    from celery_inference import feature_extraction
    from tests.support.client import client_of

    folder.mkdir(parents=True)
    (folder / "catalogue.toml").write_text(setting.catalogue)
    with Stack(folder, catalogue=folder / "catalogue.toml") as stack, client_of(stack):
        stack.environment |= {"CELERY_INFERENCE_DEVICES": "auto" if processes == 1 else f"cpu:{processes}"}
        stack.start_server()
        send, start = feature_extraction.delay, stack.start_worker
        return through_a_worker(stack, setting, send, start, inputs, one_by_one, told_by_ours)


def stock(
    folder: Path, setting: Setting, inputs: list[str], one_by_one: int, children: int, threads: int
) -> dict[str, Any]:
    """Stock Celery with prefork children that load the model."""
    with Stack(folder) as stack:
        stack.environment |= {
            "STOCK_BROKER_URL": f"sqs://local:local@127.0.0.1:{stack.port}//",
            "STOCK_BACKEND": stack.environment["CELERY_INFERENCE_RESULT_BACKEND"],
            "STOCK_MODEL": str(setting.model),
            "STOCK_THREADS": str(threads),
        }
        # Its own variables alone: Celery would take CELERY_INFERENCE_RESULT_BACKEND for our application's, too.
        os.environ.update({name: value for name, value in stack.environment.items() if name.startswith("STOCK_")})
        sys.modules.pop("benchmarks.stock_worker", None)
        from benchmarks.stock_worker import embed

        stack.start_server()

        def start() -> Process:
            options = ("--concurrency", str(children), "--pool", "prefork", "--loglevel", "info")
            return stack.start("stock", "celery", "-A", "benchmarks.stock_worker", "worker", *options).wait_until(
                lambda text: " ready." in text, 120.0
            )

        return through_a_worker(stack, setting, embed.delay, start, inputs, one_by_one)


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
    parser.add_argument("--default-rounds", type=int, default=1, help="and how many have it at its default setting")
    parser.add_argument("--words", type=int, nargs=2, default=(5, 200), metavar=("LEAST", "MOST"))
    parser.add_argument("--batch", type=int, default=16, help="rows of ours and of the loop; a GPU takes more")
    parser.add_argument("--layers", type=int, help="a model made on the spot, as MiniLM with so many layers")
    parser.add_argument("--spare", action="store_true", help="one core for the model, the others for everything else")
    arguments = parser.parse_args()
    spare = frozenset([min(ALL_CORES)]) if arguments.spare else ALL_CORES
    cores = len(spare)
    inputs = texts(arguments.requests, *arguments.words)
    # Celery's default is a child a core, and torch's all threads in each; a thread each is the better setting.
    settings = [(cores, 1), *([(cores, cores)] if cores > 1 else [])]
    loops = [(cores, "ACTIVE"), (cores, "PASSIVE"), *([(1, "PASSIVE")] if cores > 1 else [])]
    rounds: dict[str, list[Any]] = {f"offline {t} {w.lower()}": [] for t, w in loops}
    # One process with all threads is the default; on the CPU one a core, of a thread each, is its other setting.
    shared = [1] if cores == 1 or shutil.which("nvidia-smi") else [1, cores]
    rounds |= {f"ours {n}x{cores // n}": [] for n in shared}
    rounds |= {f"stock {c}x{t}": [] for c, t in settings}
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        model = MODEL
        if arguments.layers:
            model = Path(temporary) / "model"
            made = [sys.executable, "-m", "benchmarks.deep_model", str(model), str(MODEL), str(arguments.layers)]
            subprocess.run(made, cwd=ROOT, check=True)
        setting = Setting(model, spare, (ALL_CORES - spare) or ALL_CORES, arguments.batch)
        for number in range(arguments.rounds):
            base = Path(temporary) / str(number)
            for t, w in loops if number == 0 else loops[:2]:  # one thread is never the best, and is seen once
                figures = offline(setting, inputs, t, wait=w)
                rounds[f"offline {t} {w.lower()}"].append({"texts_per_second": figures["texts_per_second"]})
            few = inputs[: arguments.one_by_one]
            alone = offline(setting, few, cores, batch=1, wait="PASSIVE")["seconds"] if few else []
            for name, figures in (
                *(
                    (f"ours {n}x{cores // n}", ours(base / f"ours-{n}", setting, inputs, arguments.one_by_one, n))
                    for n in shared
                ),
                *(
                    (f"stock {c}x{t}", stock(base / f"stock-{c}x{t}", setting, inputs, arguments.one_by_one, c, t))
                    for c, t in settings
                    if number < (arguments.stock_rounds if t == 1 else arguments.default_rounds)
                ),
            ):
                beside = [whole - model_ for whole, model_ in zip(figures.pop("stored"), alone, strict=True)]
                if beside:
                    figures["stored_less_model_p50_ms"] = statistics.median(beside) * 1e3
                    figures["stored_less_model_p99_ms"] = p99(beside) * 1e3
                rounds[name].append(figures)
            so_far = {name: figures[-1] for name, figures in rounds.items() if figures}
            print(f"round {number + 1} of {arguments.rounds}: {json.dumps(so_far)}", file=sys.stderr)
    rounds = {name: figures for name, figures in rounds.items() if figures}
    speed = {name: median(figures, "texts_per_second") for name, figures in rounds.items()}
    best = max((name for name in speed if name.startswith("stock")), key=speed.__getitem__, default="")
    own = max((name for name in speed if name.startswith("ours")), key=speed.__getitem__)
    loop = max((name for name in speed if name.startswith("offline")), key=speed.__getitem__)
    report = {
        "question": "from queue to stored result, one text a request",
        "machine": machine(),
        "requests": arguments.requests,
        "words": list(arguments.words),
        "layers": arguments.layers,
        "batch": arguments.batch,
        "cores": {"model": cores, "everything else": len(setting.others)},
        "names": "offline: threads, how they wait; ours: device processes x threads; stock: children x threads",
        "ratios": {
            **{f"throughput, {name} over {loop}": speed[name] / speed[loop] for name in speed if name[:4] == "ours"},
            **({f"throughput, {own} over {best}": speed[own] / speed[best]} if best else {}),
        },
        "medians": {name: {key: median(figures, key) for key in figures[0]} for name, figures in rounds.items()},
        "rounds": rounds,
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
