"""Runs batches in the device process: prepare each input, forward in passes, halve what raises, answer every row."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from typing import Any

from models.adapters.base import Adapter, Prepared
from models.batching import Limits, split
from models.errors import InputFailed, ModelsError
from models.spec import ModelSpec

Answer = dict[str, Any]

_CEILING_GROWTH = 1.01  # a pass: a batch size that ran out of memory is tried again some 70 passes later

_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory")
_DEVICE_IS_GONE = ("cuda error", "cudnn_status", "cublas_status", "device-side assert", "nccl")


class DeviceFailed(Exception):
    """The device will not run anything again in this process. Nobody's input is to blame without proof."""


class Runner:
    """One model's batches. `figures` holds the last batch's passes, rows, real and padded tokens.

    `equal_lengths`: padding changes this model's results, so that only equal lengths share a pass.
    """

    def __init__(self, spec: ModelSpec, adapter: Adapter) -> None:
        self.spec = spec
        self._adapter = adapter
        self._ceiling_tokens = float(spec.batch_tokens)
        self.equal_lengths = False
        self.figures: dict[str, float] = {}

    def run(self, values: Sequence[Any], options: Sequence[dict[str, Any]]) -> list[Answer]:
        """One answer per value, in order. Raises DeviceFailed when no answer can be had from this process."""
        began = time.perf_counter()
        answers: list[Answer] = [{}] * len(values)
        prepared: list[Prepared] = []
        for row, (value, given) in enumerate(zip(values, options, strict=True)):
            try:
                prepared.append(self._adapter.prepare(row, value, self.with_defaults(given)))
            except Exception as error:
                answers[row] = _failure(error)
        self.figures = {
            "rows": len(values),
            "passes": 0,
            "tokens": sum(item.length for item in prepared),
            "padded_tokens": 0,
            "prepare_seconds": time.perf_counter() - began,
        }
        limits = Limits(self.spec.batch_size, int(self._ceiling_tokens), 0)
        for group in _by_size(prepared) if self.equal_lengths else [prepared]:
            for part in split([item.length for item in group], limits):
                self._forward([group[i] for i in part], answers)
        self.figures["seconds"] = time.perf_counter() - began
        return answers

    def with_defaults(self, given: dict[str, Any]) -> dict[str, Any]:
        """The options that were given, and the spec's defaults for the others."""
        return {name: option.default for name, option in self.spec.options.items()} | given

    def _forward(self, items: list[Prepared], answers: list[Answer]) -> None:
        """One pass; when it raises, its halves, down to single rows, which fail by themselves."""
        tokens = len(items) * max(item.length for item in items)
        self.figures["passes"] += 1
        self.figures["padded_tokens"] += tokens
        failure: Exception
        try:
            self._misbehave(items)
            for item, output in zip(items, self._adapter.forward(items), strict=True):
                try:
                    answers[item.row] = {"ok": self._adapter.finish(output, item)}
                except Exception as error:
                    answers[item.row] = _failure(error)
            self._ceiling_tokens = min(self.spec.batch_tokens, self._ceiling_tokens * _CEILING_GROWTH)
            return
        except Exception as error:
            if _is_the_devices(error):
                raise DeviceFailed(_one_line(error)) from error
            if len(items) == 1:
                answers[items[0].row] = _failure(error)
                return
            failure = error
        # Outside the except block, so that the traceback, and with it the pass's tensors, can be freed.
        if _is_memory(failure):
            del failure
            self._ceiling_tokens = tokens / 2
            self._adapter.free_memory()
        half = len(items) // 2
        self._forward(items[:half], answers)
        self._forward(items[half:], answers)

    def _misbehave(self, items: list[Prepared]) -> None:
        """Do what the spec's faults ask for. Nothing, for every spec that has none."""
        faults = self.spec.faults
        for item in items:
            if faults.kill and faults.kill in item.text:
                os.kill(os.getpid(), signal.SIGKILL)
            if faults.hang and faults.hang in item.text:
                time.sleep(10**6)
            if faults.fail and faults.fail in item.text:
                raise RuntimeError(f'the spec\'s fault "{faults.fail}" was asked for')


def _by_size(items: Sequence[Prepared]) -> list[list[Prepared]]:
    """Items whose exact lengths are equal, together."""
    groups: dict[int, list[Prepared]] = {}
    for item in items:
        groups.setdefault(item.size or item.length, []).append(item)
    return list(groups.values())


def _failure(error: Exception) -> Answer:
    if isinstance(error, ModelsError):
        return {"error": type(error).__name__, "sentence": str(error)}
    sentence = (
        f"inputs does not fit into the device's memory, even alone: {_one_line(error)}"
        if _is_memory(error)
        else f"inputs made the model raise, alone too: {_one_line(error)}"
    )
    return {"error": InputFailed.__name__, "sentence": sentence}


def _is_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in _MEMORY)


def _is_the_devices(error: Exception) -> bool:
    text = str(error).lower()
    return not _is_memory(error) and any(words in text for words in _DEVICE_IS_GONE)


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}{'…' if len(text) > 300 else ''}"
