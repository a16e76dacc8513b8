"""How many requests a second one parent can pass through its engine, when the devices cost nothing?

Devices are processes that answer at once, without a model. Threads submit and wait, as the tasks of a worker do; what
Celery and SQS cost a request comes on top (`main_job.py` measures that). Prints requests a second and the parent's CPU
time a request, for one device and more: where more devices do not help, the parent's one interpreter is the limit.
"""

import argparse
import json
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from celery_inference.specs.model_spec import ModelSpec
from models.devices import discover
from models.engine import Engine


def measure(folder: Path, devices: int, requests: int) -> dict[str, float]:
    """One run over so many devices."""
    spec = ModelSpec("one", "feature-extraction", str(folder), batch_size=16)
    engine = Engine([spec], discover(f"cpu:{devices}"), program="tests.support.fake_device")
    engine.start(60)
    text = "some words of a text that is neither short nor long " * 4
    try:
        with ThreadPoolExecutor(engine.capacity) as pool:
            list(pool.map(lambda _: engine.submit("one", [text]).result(60), range(requests // 10)))
            wall, processor = time.perf_counter(), time.process_time()
            list(pool.map(lambda _: engine.submit("one", [text]).result(60), range(requests)))
            wall, processor = time.perf_counter() - wall, time.process_time() - processor
        rows = engine.stats()["models"]["one"]
        return {
            "requests_per_second": requests / wall,
            "parent_cpu_ms_per_request": 1000 * processor / requests,
            "rows_per_batch": rows["rows"] / rows["batches"],
        }
    finally:
        engine.stop(5)


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2, 4, 8])
    arguments = parser.parse_args()
    rounds: dict[int, list[dict[str, float]]] = {count: [] for count in arguments.devices}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(arguments.rounds):
            for count in arguments.devices:
                rounds[count].append(measure(Path(folder), count, arguments.requests))
    medians: dict[str, Any] = {
        f"{count} devices": {key: statistics.median(one[key] for one in figures) for key in figures[0]}
        for count, figures in rounds.items()
    }
    print(json.dumps({"question": "one parent's ceiling", "machine": machine(), "medians": medians}, indent=2))


if __name__ == "__main__":
    main()
