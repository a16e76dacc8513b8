"""Loads a model in the device process and runs it once, so that the first request finds it as fast as the last."""

from __future__ import annotations

import time
from dataclasses import replace
from importlib import import_module
from typing import Any

import torch

from models.adapters.base import Adapter
from models.errors import ModelLoadError
from models.hub import folder_of
from models.runner import Runner
from models.spec import ModelSpec


def load(spec: ModelSpec, device: torch.device) -> tuple[Runner, dict[str, Any]]:
    """The model's runner, warm, and facts for the log. Raises ModelLoadError, or what the loading raised."""
    began = time.perf_counter()
    module = import_module(f"models.adapters.{spec.kind.adapter}")
    local = replace(spec, source=str(folder_of(spec)), revision=None)
    adapter: Adapter = module.ADAPTER(local, device)
    loaded = time.perf_counter()
    runner = Runner(local, adapter)
    example = adapter.example if spec.example is None else spec.example
    _run(runner, [example], adapter, "its example")
    if device.type == "cuda":
        # Reserves the memory of the largest batch now, not under a request. On the CPU there is nothing to reserve.
        _run(runner, [_longest(runner, adapter, example)] * spec.batch_size, adapter, "its largest batch")
        torch.cuda.synchronize()
    facts = {"load_seconds": loaded - began, "warm_seconds": time.perf_counter() - loaded, "dtype": spec.dtype}
    return runner, facts


def _run(runner: Runner, values: list[Any], adapter: Adapter, what: str) -> None:
    answer = runner.run(values, [adapter.example_options] * len(values))[0]
    if "ok" not in answer:
        raise ModelLoadError(f"{what} fails: {answer['sentence']}")


def _longest(runner: Runner, adapter: Adapter, example: Any) -> Any:
    """The example, repeated until it nearly fills the spec's token limit."""
    if not isinstance(example, str) or adapter.spec.kind.media == "image":
        return example
    runner.run([example], [adapter.example_options])
    once = max(1, int(runner.figures["tokens"]))
    return " ".join([example] * max(1, adapter.spec.max_tokens // (once + 1)))
