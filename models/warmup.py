"""Loads a model in the device process and runs it once, so that the first request finds it as fast as the last."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from importlib import import_module
from typing import Any

import torch

from celery_inference.specs.errors import ModelLoadError
from celery_inference.specs.model_spec import ModelSpec
from models import checkpoint, hub, probe
from models import memory as memory_of
from models.adapters.base import Adapter
from models.runner import Runner
from models.stream import Stream

_log = logging.getLogger("models.device")


def load(spec: ModelSpec, device: torch.device) -> tuple[Runner, dict[str, Any]]:
    """The model's runner, warm, and facts as JSON values: seconds, bytes, and the example that it ran.

    Raises ModelLoadError, or what the loading raised.
    """
    module = import_module(f"models.adapters.{spec.kind.adapter}")
    folder = hub.folder_of(spec)
    began, memory = time.perf_counter(), memory_of.Growth(device)
    local = replace(spec, source=str(folder), revision=None)
    with hub.offline():
        try:
            adapter: Adapter = module.ADAPTER(local, device)
        except ValueError as error:
            raise checkpoint.explained(error) from error
    loaded, weights = time.perf_counter(), memory.now()
    runner = Runner(local, adapter)
    example = adapter.example if spec.example is None else spec.example
    options = {**adapter.example_options, **spec.example_options}
    _run(runner, [example], options, "its example")
    padding = _probe(runner, adapter, options)
    runner.well = (example, options)
    if device.type == "cuda":
        # Reserves the memory of the largest batch now, not under a request. On the CPU there is nothing to reserve.
        _run(runner, [_longest(runner, spec, example, options)] * spec.batch_size, options, "its largest batch")
        torch.cuda.synchronize()
    cache_tokens = _stream(runner, adapter) if spec.joins else None
    facts = {
        "load_seconds": loaded - began,
        "warm_seconds": time.perf_counter() - loaded,
        "dtype": spec.dtype,
        "weights_bytes": weights,
        "peak_bytes": memory.peak(),
        "process_bytes": memory_of.process_bytes(),
        "padding_changes_by": padding,
        "equal_lengths": runner.equal_lengths,
        "cache_tokens": cache_tokens,
        "example": example,
        "example_options": options,
    }
    return runner, facts


def _run(runner: Runner, values: list[Any], options: dict[str, Any], what: str) -> None:
    answer = runner.run(values, [options] * len(values))[0]
    if "ok" not in answer:
        raise ModelLoadError(f"{what} fails: {answer['sentence']}")


def _stream(runner: Runner, adapter: Adapter) -> int:
    """Start the loop that rows join, before anybody waits for it; the tokens that its cache holds."""
    runner.stream = Stream(adapter.continuous)
    return runner.stream.begin("greedy").cache_tokens


def _probe(runner: Runner, adapter: Adapter, options: dict[str, Any]) -> float | None:
    """Let only inputs of equal length share a pass where padding changes results; by how much it does."""
    padding = probe.difference_by_padding(runner, adapter, options)
    if padding is not None and probe.matters(padding, getattr(torch, adapter.spec.dtype)):
        runner.equal_lengths = adapter.equal_lengths = True
        _log.warning(
            "%s: padding changes its results (by %.2g of the largest value): only inputs of equal length share a pass",
            adapter.spec.name,
            padding,
        )
    return padding


def _longest(runner: Runner, spec: ModelSpec, example: Any, options: dict[str, Any]) -> Any:
    """The example, repeated until it nearly fills the spec's token limit; other media than text as they are."""
    if not isinstance(example, str) or spec.kind.media not in ("text", "chat"):
        return example
    runner.run([example], [options])
    once = max(1, int(runner.figures["tokens"]))
    return " ".join([example] * max(1, spec.max_tokens // (once + 1)))
