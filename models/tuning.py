"""Measures which batch size is best for a model on a device, and whether continuous batching is faster there.

Through the engine, as requests are: what is compared is the device process's own seconds for a row, prepared, run and
finished. Sizes take turns, so that a neighbour who takes the processor for a while slows all of them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from celery_inference.inputs.check import check_inputs
from celery_inference.specs.errors import ModelLoadError
from celery_inference.specs.model_spec import ModelSpec
from models.devices import Device
from models.engine import Engine
from models.tuning_file import Tuning

SIZES = (1, 2, 4, 8, 16, 32, 64)
GOOD_ENOUGH = 1.03  # of the best: a smaller batch that is so near to it answers sooner
HOPELESS = 1.5  # of the best: not tried again
ROUNDS = 5
WORTH_IT = 1.05  # by so much continuous batching must be faster
_TOKENS = (16, 64, 192)  # of the texts that are tried
_NEW_TOKENS = 16
_ASKED = (8, 64, 16, 32)  # new tokens of requests that differ
_LOAD_SECONDS = 1_800.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Measured:
    """`row_milliseconds` by batch size; `tokens_per_second` by "padded" and "continuous", where there is a choice."""

    tuning: Tuning
    row_milliseconds: dict[int, float]
    tokens_per_second: dict[str, float]


def can_be_tuned(spec: ModelSpec) -> bool:
    """Whether rows of the model share passes at all."""
    return spec.pipeline_task.handler != "pipeline"


def tune(spec: ModelSpec, device: Device, *, seconds: float, say: Say = lambda _: None) -> Measured:
    """Measure for about so many seconds, loading apart. Blocks. Raises ModelLoadError and what running raises."""
    engine = Engine([replace(spec, batch_size=max(SIZES), continuous="off")], [device])
    try:
        engine.start(_LOAD_SECONDS)
        values = _values(engine, spec, engine.loaded(spec.name)[device.name])
        sizes = _sizes(engine, spec, values, time.monotonic() + seconds / (2 if _has_choice(spec) else 1), say)
    finally:
        engine.stop(10.0)
    best = best_of(sizes)
    rates = _rates(replace(spec, batch_size=best), device, values, seconds / 2, say) if _has_choice(spec) else {}
    continuous = None
    if rates:
        continuous = "on" if rates["continuous"] > WORTH_IT * rates["padded"] else "off"
    return Measured(Tuning(best, continuous), {size: 1000 * cost for size, cost in sizes.items()}, rates)


def best_of(costs: dict[int, float]) -> int:
    """The smallest size that costs hardly more a row than the best one."""
    least = min(costs.values())
    return min(size for size, cost in costs.items() if cost <= GOOD_ENOUGH * least)


def _has_choice(spec: ModelSpec) -> bool:
    return spec.task == "text-generation" and spec.continuous == "auto"


def _values(engine: Engine, spec: ModelSpec, facts: dict[str, Any]) -> list[Any]:
    """Inputs of several lengths where lengths are known to matter, as `check_inputs` returns them."""
    example = facts["example"]
    if not isinstance(example, str) or spec.pipeline_task.media not in ("text", "chat"):
        return check_inputs(spec, example, facts["example_options"])[0]
    word = example.split()[0]
    one, nine = (_spent(engine, spec, " ".join([word] * count), 1)["tokens"] for count in (1, 9))
    each = max(1.0, (nine - one) / 8)
    most = max(1, min(int((spec.max_tokens - one) / each), spec.max_characters // (len(word) + 1)))
    return [" ".join([word] * max(1, min(int((tokens - one) / each), most))) for tokens in _TOKENS]


def _sizes(engine: Engine, spec: ModelSpec, values: Sequence[Any], until: float, say: Say) -> dict[int, float]:
    """Seconds a row, by batch size: the least seen, as neighbours can only add to it.

    Sizes that would take longer than there is time for are left out.
    """
    seen: dict[int, list[float]] = {}
    for size in [size for _ in range(ROUNDS) for size in SIZES]:
        known = {other: min(costs) for other, costs in seen.items()}
        least = min(known.values(), default=0.0)
        too_long = time.monotonic() + size * least * len(values) > until
        if (known and too_long) or known.get(size, 0.0) > HOPELESS * least:
            continue
        spent = sum(_spent(engine, spec, value, size)["seconds"] for value in values)
        seen.setdefault(size, []).append(spent / size / len(values))
        say(f"batches of {size}: {1000 * seen[size][-1]:.2f} ms a row")
    return {size: min(costs) for size, costs in seen.items()}


def _spent(engine: Engine, spec: ModelSpec, value: Any, size: int) -> dict[str, float]:
    """What one batch of equal rows, alone on the device, adds to the model's totals."""
    options = {"max_new_tokens": _NEW_TOKENS} if _writes(spec) else {}
    before = dict(engine.stats()["models"][spec.name])
    engine.submit(spec.name, [value] * size, {**spec.example_options, **options}).result(spec.time_limit_seconds * 3)
    after = engine.stats()["models"][spec.name]
    return {key: float(after[key] - before.get(key, 0.0)) for key in ("tokens", "seconds")}


def _writes(spec: ModelSpec) -> bool:
    return spec.task == "text-generation"


def _rates(spec: ModelSpec, device: Device, values: Sequence[Any], seconds: float, say: Say) -> dict[str, float]:
    """Tokens a second of the same requests, in padded batches and joining each other; empty where they cannot join."""
    most = int(spec.options["max_new_tokens"].maximum or max(_ASKED))
    asked = [
        (values[i % len(values)], min(most, _ASKED[i // len(values) % len(_ASKED)])) for i in range(3 * spec.batch_size)
    ]
    engines = {name: Engine([replace(spec, continuous=how)], [device]) for name, how in _WAYS.items()}
    seen: dict[str, list[float]] = {name: [] for name in engines}
    try:
        for engine in engines.values():
            engine.start(_LOAD_SECONDS)
        until = time.monotonic() + seconds
        for number in range(ROUNDS):
            for name, engine in engines.items():
                if number > 1 and time.monotonic() > until:
                    continue
                began = time.perf_counter()
                futures = [engine.submit(spec.name, [value], {"max_new_tokens": tokens}) for value, tokens in asked]
                for future in futures:
                    future.result(spec.time_limit_seconds * len(asked))
                rate = sum(tokens for _, tokens in asked) / (time.perf_counter() - began)
                say(f"{name}: {rate:.1f} tokens a second")
                if number:  # the first warms both
                    seen[name].append(rate)
    except ModelLoadError as error:
        say(f"requests cannot join each other: {error}")
        return {}
    finally:
        for engine in engines.values():
            engine.stop(10.0)
    return {name: statistics.median(rates) for name, rates in seen.items()}


_WAYS = {"padded": "off", "continuous": "on"}
