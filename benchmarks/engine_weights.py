"""Are a model's weights in memory once a device, and in no other process?

Engines over two device processes: with a small model alone, then with a larger one beside it, then after a request of
each, and after one process was killed and replaced. Prints what each process has in memory: with the larger model each
device process should have grown by its weights once, and the parent by nothing. What each process told of its models
stands beside it; on a GPU that is what they take of its memory.
"""

import argparse
import json
import os
import signal
import time
from typing import Any

from benchmarks.machine import machine
from benchmarks.processes import memory_mb
from celery_inference.specs.model_spec import ModelSpec
from celery_inference.specs.pipeline_tasks import PIPELINE_TASKS
from demo.processes import ROOT
from models.devices import discover
from models.engine import Engine

FOLDER = ROOT / "var" / "models"
SMALL = ("all-minilm-l6-v2", "feature-extraction")
LARGE = ("smollm2-135m-instruct", "text-generation")


def spec_of(name: str, task: str) -> ModelSpec:
    """In float32, as the CPU has it."""
    pipeline_task = PIPELINE_TASKS[task]
    return ModelSpec(name, task, str(FOLDER / name), dtype="float32", options=pipeline_task.options)


def weights_mb(name: str) -> float:
    """By the header of the file: numbers, four bytes each."""
    file = FOLDER / name / "model.safetensors"
    with file.open("rb") as opened:
        header = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
    sizes = []
    for tensor, facts in header.items():
        if tensor != "__metadata__":
            count = 4
            for length in facts["shape"]:
                count *= length
            sizes.append(count)
    return sum(sizes) / 1e6


def look(engine: Engine, names: list[str]) -> dict[str, Any]:
    """Memory and loads of every process."""
    devices = engine.stats()["devices"]
    return {
        "parent_mb": round(memory_mb(os.getpid()), 1),
        "device_process_mb": {name: round(memory_mb(device["pid"]), 1) for name, device in devices.items()},
        "told": {name: engine.loaded(name) for name in names},
        "loads_of_these_processes": {name: device["process_loads"] for name, device in devices.items()},
    }


def measure(names: list[tuple[str, str]], devices: str, *, kill: bool) -> dict[str, Any]:
    """One engine's life."""
    engine = Engine([spec_of(*name) for name in names], discover(devices))
    engine.start(300)
    try:
        found = {"loaded": look(engine, [name for name, _ in names])}
        for name, _ in names:
            for future in [engine.submit(name, ["some words of a text"]) for _ in range(4)]:
                future.result(300)
        found["after requests"] = look(engine, [name for name, _ in names])
        if kill:
            victim = next(iter(engine.stats()["devices"].values()))
            os.kill(victim["pid"], signal.SIGKILL)
            until = time.monotonic() + 120
            while time.monotonic() < until:
                now = engine.stats()["devices"].values()
                if all(device["state"] == "ready" for device in now) and any(device["restarts"] for device in now):
                    break
                time.sleep(0.1)
            found["after kill -9 of one"] = look(engine, [name for name, _ in names])
        return found
    finally:
        engine.stop(10)


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", default="cpu:2", help="as CELERY_INFERENCE_DEVICES")
    arguments = parser.parse_args()
    report = {
        "question": "weights once a device",
        "machine": machine(),
        "weights_mb": {name: round(weights_mb(name), 1) for name, _ in (SMALL, LARGE)},
        SMALL[0]: measure([SMALL], arguments.devices, kill=False),
        f"{SMALL[0]} and {LARGE[0]}": measure([SMALL, LARGE], arguments.devices, kill=True),
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
