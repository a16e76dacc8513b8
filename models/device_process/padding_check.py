"""Finds out, when a model is loaded, whether padding changes its results: then only equal lengths share a pass.

Speech models with group normalization let the padding into their statistics; others ignore their attention mask. A
short input is run alone and padded beside a long one, and the outputs are compared.
"""

from __future__ import annotations

from typing import Any

import torch

from celery_inference.specs.errors import ModelLoadError
from models.device_process.runner import Runner
from models.handlers.base import Handler

# Rounding alone stays below these, relative to the largest value; padding that is looked at is far above them.
# With tiny random models rounding makes at most 8e-6 in float32, 0.003 in float16, 0.009 in bfloat16.
_ROUNDING = {torch.float32: 1e-3, torch.float16: 2e-2, torch.bfloat16: 1e-1}


def difference_by_padding(runner: Runner, handler: Handler, options: dict[str, Any]) -> float | None:
    """By how much padding changes the output of a short input, relative to its largest value; None if none is padded.

    1.0 for answers that differ where the output is no numbers. Raises ModelLoadError when the inputs cannot be run.
    """
    if handler.lengths is None:
        return None
    try:
        options = runner.with_defaults(options)
        short, long = (handler.prepare(row, value, options) for row, value in enumerate(handler.lengths))
        (alone,) = handler.probed([short])
        padded, _ = handler.probed([short, long])
        if isinstance(alone, torch.Tensor) and alone.is_floating_point():
            return difference(alone, padded)
        return 0.0 if handler.finish(alone, short) == handler.finish(padded, short) else 1.0
    except Exception as error:
        raise ModelLoadError(f"it cannot be tried with a padded input: {type(error).__name__}: {error}") from error


def is_switched_by_longest(model: Any, longest_tokens: int) -> bool:
    """Whether the longest input of a pass, up to `longest_tokens`, may decide how all of its inputs are computed.

    It turns the positions of RoPE ("longrope", "dynamic"), or chooses between full and sparse attention (BigBird).

    The two lengths that are tried need not be on both sides of the boundary, so the configuration tells it.
    """
    for part in model.modules():
        if getattr(part, "attention_type", None) == "block_sparse":
            return True
        kinds = getattr(part, "rope_type", None)  # a mapping where layers differ
        turns = not {"longrope", "dynamic"}.isdisjoint(kinds.values() if isinstance(kinds, dict) else [kinds])
        if turns and longest_tokens > _original_positions(part):
            return True
    return False


def _original_positions(rotary: Any) -> int:
    """Up to which length a rotary embedding leaves its positions as they are."""
    said = getattr(rotary.config, "rope_parameters", None) or {}
    layers = [layer for layer in said.values() if isinstance(layer, dict)] or [said]
    known = [layer.get("original_max_position_embeddings") for layer in layers]
    return min((int(positions) for positions in known if positions), default=int(rotary.original_max_seq_len))


def matters(difference: float, dtype: torch.dtype) -> bool:
    """Whether it is more than rounding."""
    return difference > _ROUNDING[dtype]


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference, relative to the first's largest value."""
    if one.shape != other.shape:
        return 1.0
    largest = one.abs().max().item()
    return (one - other).abs().max().item() / largest if largest else 0.0
