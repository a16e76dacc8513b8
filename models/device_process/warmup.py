"""Loads a model in the device process and runs it once, so that the first request finds it as fast as the last."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from importlib import import_module
from typing import Any

import torch

from celery_inference.specs.errors import InvalidInput, ModelLoadError
from celery_inference.specs.model_spec import ModelSpec
from models import checkpoint
from models.device_process import hub, padding_check
from models.device_process import memory as memory_of
from models.device_process.continuous_batching import Stream
from models.device_process.runner import Runner
from models.handlers.base import Handler
from models.handlers.common import finite, from_pretrained

_NAMED = 5  # of many missing weights

_log = logging.getLogger("models.device")


def load(spec: ModelSpec, device: torch.device) -> tuple[Runner, Stream | None, dict[str, Any]]:
    """The model's runner, warm, its stream, and facts as JSON values: seconds, bytes, and the example that it ran.

    The stream is where rows join each other while they are generated, for a model whose spec says so.
    Raises ModelLoadError, or what the loading raised.
    """
    module = import_module(f"models.handlers.{spec.pipeline_task.handler}")
    folder = hub.folder_of(spec)
    began, memory = time.perf_counter(), memory_of.Growth(device)
    local = replace(spec, source=str(folder), revision=None)
    with hub.offline():
        try:
            handler: Handler = module.HANDLER(local, device)
        except ValueError as error:
            raise checkpoint.explained(error) from error
    refuse_unused_defaults(handler)
    local = handler.spec = from_pretrained.within_positions(local, handler.model)
    loaded, weights = time.perf_counter(), memory.now()
    runner = Runner(local, handler)
    runner.equal_lengths = handler.equal_lengths
    example = handler.example if spec.example is None else spec.example
    options = {**handler.example_options, **spec.example_options}
    _run(runner, [example], options, "its example")
    if missing := handler.model.missing_weights:
        _log.info("%s: its folder lacks %s, and the task does not use them", spec.name, _listed(missing))
    padding = _probe(runner, handler, options)
    runner.well = (example, options)
    if device.type == "cuda":
        # Reserves the memory of the largest batch now, not under a request. On the CPU there is nothing to reserve.
        _run(runner, [_longest(runner, local, example, options)] * spec.batch_size, options, "its largest batch")
        torch.cuda.synchronize()
    stream = Stream(handler.continuous) if spec.joins else None
    # The loop that rows join starts before anybody waits for it.
    cache_tokens = stream.begin("greedy").cache_tokens if stream is not None else None
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
    return runner, stream, facts


def refuse_unused_defaults(handler: Handler) -> None:
    """What the catalogue sets for this model must mean something to it."""
    usual = handler.spec.pipeline_task.options
    try:
        handler.refuse_unused(n for n, option in handler.spec.options.items() if option.default != usual[n].default)
    except InvalidInput as error:
        raise ModelLoadError(f"the catalogue's default: {error}") from error


def _run(runner: Runner, values: list[Any], options: dict[str, Any], what: str) -> None:
    answer = runner.run(values, [options] * len(values))[0]
    if "ok" in answer:
        return
    if finite.SENTENCE in answer["sentence"] and (missing := runner.handler.model.missing_weights):
        raise ModelLoadError(f"its folder lacks weights that {runner.spec.task} uses: {_listed(missing)}")
    raise ModelLoadError(f"{what} fails: {answer['sentence']}")


def _listed(names: list[str]) -> str:
    """The first of these names, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _probe(runner: Runner, handler: Handler, options: dict[str, Any]) -> float | None:
    """Let only inputs of equal length share a pass where padding changes results; by how much it does."""
    padding = padding_check.difference_by_padding(runner, handler, options)
    if padding is not None and padding_check.matters(padding, getattr(torch, handler.spec.dtype)):
        runner.equal_lengths = handler.equal_lengths = True
        _log.warning(
            "%s: padding changes its results (by %.2g of the largest value): only inputs of equal length share a pass",
            handler.spec.name,
            padding,
        )
    if (
        padding is not None
        and not runner.equal_lengths
        and padding_check.is_switched_by_longest(handler.model, handler.spec.longest_tokens)
    ):
        runner.equal_lengths = handler.equal_lengths = True
        _log.warning(
            "%s: the longest input of a pass decides how it computes: only inputs of equal length share a pass",
            handler.spec.name,
        )
    return padding


def _longest(runner: Runner, spec: ModelSpec, example: Any, options: dict[str, Any]) -> Any:
    """The example, repeated until it nearly fills the spec's token limit; other media than text as they are."""
    if not isinstance(example, str) or spec.pipeline_task.media not in ("text", "chat"):
        return example
    runner.run([example], [options])
    once = max(1, int(runner.stats["tokens"]))
    return " ".join([example] * max(1, spec.max_tokens // (once + 1)))
