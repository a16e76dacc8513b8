"""From a request's values to rows that wait, with an estimate of each one's length."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from celery_inference.inputs.check import size_bytes
from celery_inference.specs.model_spec import ModelSpec
from models.devices import Device
from models.scheduling.batching import Limits, Row
from models.scheduling.requests import PendingRequest

CHARACTERS_PER_TOKEN = 4  # English with a subword vocabulary; only the order of lengths matters much
CHARACTERS_PER_STEP = 853  # base64 of 16 kHz, 16 bits, in the 20 ms that a speech model hears as one step
# What a forward pass costs before its first token, measured in tokens. An endpoint forms batches of its own. Threads of
# a CPU wait for each other in each pass; one alone does not, and has the small batches that fit into its cache cheaper:
# over MiniLM 50 texts/s with 8, 47 with 16 and 45 with 32, where two threads make 34, 41 and 39.
_PASS_TOKENS = {"cpu": 32, "cuda": 4096, "endpoint": 2**31}
_PASS_TOKENS_OF_ONE_THREAD = 8
_CHEAP_PADDING_TOKENS = 4096  # in generation the steps cost, not the prompt


def limits_of(spec: ModelSpec, device: Device) -> Limits:
    """What bounds the spec's batches on that device."""
    if spec.task == "text-generation":
        pass_tokens = _CHEAP_PADDING_TOKENS
    elif device.kind == "cpu" and device.threads == 1:
        pass_tokens = _PASS_TOKENS_OF_ONE_THREAD
    else:
        pass_tokens = _PASS_TOKENS[device.kind]
    return Limits(spec.batch_size, spec.batch_tokens, pass_tokens)


def with_facts(limits: Limits, facts: Mapping[str, Any]) -> Limits:
    """The limits with what the device process found out when it loaded the model."""
    return replace(
        limits,
        equal=bool(facts.get("equal_lengths")),
        tokens=min(limits.tokens, facts.get("cache_tokens") or limits.tokens),
    )


def rows_of(spec: ModelSpec, request: PendingRequest, values: list[Any], arrived: float, deadline: float) -> list[Row]:
    """One row a value."""
    group, may_join = _group(spec, request)
    written = request.options.get("max_new_tokens") or _default(spec, "max_new_tokens")
    beams = request.options.get("num_beams") or 1
    return [
        Row(group, value, beams * (_length(spec, value) + written), arrived, deadline, may_join, owner=request, index=i)
        for i, value in enumerate(values)
    ]


def _group(spec: ModelSpec, request: PendingRequest) -> tuple[tuple[str, ...], bool]:
    """What rows must have in common to share a pass, and whether they join each other instead."""
    shaping = {name: value for name, value in request.options.items() if spec.options[name].shapes_batch}
    if spec.joins and (mode := joins_as({name: option.default for name, option in spec.options.items()} | shaping)):
        return (spec.name, mode), True
    if shaping.get("seed") is not None:
        return (spec.name, request.id), False  # a seed promises the same text again: no other request in its batch
    return ((spec.name, json.dumps(shaping, sort_keys=True)) if shaping else (spec.name,)), False


def joins_as(options: Mapping[str, Any]) -> str | None:
    """ "greedy" or "sampled", for options that each row of a generation may have of its own; None for others.

    Beams and penalties look at all that a row has written, and one generator draws for all rows.
    """
    if (options.get("num_beams") or 1) > 1 or (options.get("repetition_penalty") or 1.0) != 1.0:
        return None
    if not options.get("do_sample"):
        return "greedy"
    return None if options.get("seed") is not None else "sampled"


def _length(spec: ModelSpec, value: Any) -> int:
    """An estimate in tokens. What runs one at a time, and images, which become one size, count alike."""
    if spec.pipeline_task.media == "audio":
        return 1 + size_bytes(value) // CHARACTERS_PER_STEP
    if spec.pipeline_task.media in ("text", "chat"):
        return 8 + size_bytes(value) // CHARACTERS_PER_TOKEN
    return 1


def _default(spec: ModelSpec, option: str) -> int:
    """What generation will add to each row's length; 0 for what generates nothing."""
    known = spec.options.get(option)
    return known.default if known is not None and isinstance(known.default, int) else 0
