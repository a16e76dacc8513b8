"""Loads one model through the engine, on a real device, and measures it."""

import json
import time
from dataclasses import replace
from typing import Any

from celery_inference.inputs.check import check_inputs
from celery_inference.specs.errors import ModelLoadError
from celery_inference.specs.model_spec import ModelSpec
from models.devices import Device
from models.engine import Engine
from tasks.execution import engine_factory

LOAD_SECONDS = 1_800.0  # a cold host fetches weights first
RUNS = 5  # of the example, one after another; the median is told

_LONGEST_RESULT = 300


def check(spec: ModelSpec, conf: Any, *, allow_unsafe: bool = False) -> dict[str, Any]:
    """What it took to load the model and run its example on the first device, as JSON values: seconds and bytes.

    Blocks until the device process has ended again.

    Raises:
        celery_inference.specs.errors.ModelLoadError: it cannot be loaded, its example fails, or it takes more than
        `memory_bytes`.
        celery_inference.specs.errors.InferenceError: there is no such device, or running failed.
    """
    device = engine_factory.devices(conf)[0]
    if allow_unsafe:
        spec = replace(spec, allow_unsafe=True)
    engine = Engine([spec], [device], endpoint_program=conf.inference_endpoint_program)
    try:
        engine.start(LOAD_SECONDS)
        return _measure(engine, spec, device)
    finally:
        engine.stop(10.0)


def as_text(report: dict[str, Any]) -> str:
    """The report for people, a fact a line."""
    memory = report["memory"]
    budget = f" of {memory['budget_bytes']:,} allowed" if memory["budget_bytes"] else ""
    result = json.dumps(report["result"], ensure_ascii=False)
    lines = {
        "model": f"{report['model']} ({report['task']})",
        "source": " at ".join(filter(None, (report["source"], report["revision"]))),
        "device": " ".join(filter(None, (report["device"], report["device_description"]))),
        "dtype": report["dtype"],
        "versions": ", ".join(f"{name} {version}" for name, version in report["versions"].items()),
        "loaded in": f"{report['load_seconds']:.2f} s, warm after {report['warm_seconds']:.2f} s more",
        "example runs in": f"{report['run_seconds'] * 1000:.1f} ms, median of {RUNS}",
        "device memory": f"{memory['weights_bytes']:,} bytes loaded, {memory['peak_bytes']:,} at most{budget}",
        "process memory": f"{memory['process_bytes']:,} bytes",
        "result": result if len(result) <= _LONGEST_RESULT else f"{result[:_LONGEST_RESULT]}…",
    }
    return "\n".join(f"{name:<15}  {text}" for name, text in lines.items())


def _measure(engine: Engine, spec: ModelSpec, device: Device) -> dict[str, Any]:
    (where,) = engine.loaded(spec.name)
    facts = engine.loaded(spec.name)[where]
    made_with = engine.describe(spec.name)
    rows, options = check_inputs(spec, facts["example"], facts["example_options"])
    seconds, result = [], None
    for _ in range(RUNS):
        began = time.perf_counter()
        result = engine.submit(spec.name, rows, options).result(timeout=spec.time_limit_seconds * 2)[0]
        seconds.append(time.perf_counter() - began)
    peak = facts["peak_bytes"]
    if spec.memory_bytes is not None and peak > spec.memory_bytes:
        raise ModelLoadError(
            f'model "{spec.name}" took {peak:,} bytes of {device.name}; its memory_bytes allows {spec.memory_bytes:,}'
        )
    return {
        "model": spec.name,
        "ok": True,
        "task": spec.task,
        "source": spec.source,
        "revision": made_with["revision"],
        "dtype": spec.dtype,
        "device": where,
        "device_description": device.description if where == device.name else "",
        "versions": made_with["versions"],
        "load_seconds": facts["load_seconds"],
        "warm_seconds": facts["warm_seconds"],
        "run_seconds": sorted(seconds)[RUNS // 2],
        "memory": {
            "weights_bytes": facts["weights_bytes"],
            "peak_bytes": peak,
            "budget_bytes": spec.memory_bytes,
            "process_bytes": facts["process_bytes"],
        },
        "result": result,
    }
