"""Engines over tiny models for tests, and what tests do to them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celery_inference.inputs.check import check_inputs
from celery_inference.specs.model_spec import ModelSpec
from celery_inference.specs.pipeline_tasks import PIPELINE_TASKS
from models.devices import discover
from models.engine import Engine

SECONDS = 120  # against hangs; nothing here takes nearly that long


def spec(task: str, folder: Path, **values: Any) -> ModelSpec:
    """A spec of a tiny model, named after its task."""
    options = PIPELINE_TASKS[task].options
    return ModelSpec(
        **{"name": task, "task": task, "source": str(folder), "max_tokens": 128, "options": options, **values}
    )


@contextmanager
def running(*specs: ModelSpec, devices: str = "cpu", start_seconds: float = SECONDS, **values: Any) -> Iterator[Engine]:
    """A started engine, stopped at the end."""
    engine = Engine(specs, discover(devices), **values)
    engine.start(start_seconds)
    try:
        yield engine
    finally:
        engine.stop(10)


def send(engine: Engine, one: ModelSpec, value: object, **options: Any) -> Future[list[Any]]:
    """Check and submit, as a task does."""
    rows, checked = check_inputs(one, value, options)
    return engine.submit(one.name, rows, checked)


def pids(engine: Engine) -> list[int]:
    """The device processes that are alive now."""
    return [device["pid"] for device in engine.stats()["devices"].values() if device["pid"]]


def exists(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
    """Until it is so; fails after a generous while."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"{what}: not in {seconds:g} s"
        time.sleep(0.02)


def kill(pid: int, signal_number: int) -> None:
    """A signal to one process."""
    os.kill(pid, signal_number)
