"""Measures a model on this host's first device, and remembers what is best."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery_inference.specs.model_spec import ModelSpec
from models import tuning
from models.tuning_file import TuningFile
from tasks.execution import engine_factory


def tune(spec: ModelSpec, conf: Any, *, seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """What was measured and is remembered now, as JSON values. Blocks; raises
    celery_inference.specs.errors.InferenceError and OSError."""
    device = engine_factory.devices(conf)[0]
    measured = tuning.tune(spec, device, seconds=seconds, say=lambda line: say(f"{spec.name}: {line}"))
    TuningFile(Path(conf.inference_state)).save_tuning(spec, device.description, measured.tuning)
    return {
        "model": spec.name,
        "device": device.name,
        "device_description": device.description,
        "batch_size": measured.tuning.batch_size,
        "catalogue_batch_size": None if spec.default_size else spec.batch_size,
        "continuous": measured.tuning.continuous,
        "row_milliseconds": {str(size): round(cost, 3) for size, cost in measured.row_milliseconds.items()},
        "tokens_per_second": {name: round(rate, 1) for name, rate in measured.tokens_per_second.items()},
    }


def as_text(report: dict[str, Any]) -> str:
    """The report for people, in one line."""
    costs = ", ".join(f"{size}: {cost:.2f}" for size, cost in report["row_milliseconds"].items())
    rates = ", ".join(f"{name} {rate}" for name, rate in report["tokens_per_second"].items())
    said = f"{report['model']} on {report['device']}: batches of {report['batch_size']} (ms a row by size {costs})"
    if rates:
        said += f"; continuous {report['continuous']} (tokens a second: {rates})"
    if report["catalogue_batch_size"] is not None:
        said += f"; the catalogue says batch_size = {report['catalogue_batch_size']}, which stays in force"
    return said
