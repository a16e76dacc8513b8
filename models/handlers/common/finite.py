"""Whether what a model computed is numbers. NaN is no answer, and sorting, thresholds and argmax would hide it."""

from __future__ import annotations

import math
from typing import Any

import torch

SENTENCE = "the model computed what is not a number"
# What becomes a result, by the names of transformers' outputs. Others may rightly hold infinities (proposals of
# detectors), or are not used (a pooler's output beside the states of the tokens).
_BECOMES_A_RESULT = (
    "logits",
    "start_logits",
    "end_logits",
    "class_queries_logits",
    "masks_queries_logits",
    "logits_per_image",
    "logits_per_audio",
    "pred_boxes",
    "pred_masks",
    "iou_scores",
    "predicted_depth",
    "matching_scores",
    "last_hidden_state",
    "waveform",
    "spectrogram",
)


class NotANumberError(ArithmeticError):
    """A model's output holds NaN or infinity: a fault of its weights or of its dtype's range."""

    quotes_no_input = True

    def __init__(self, where: str = "") -> None:
        super().__init__(f"{SENTENCE}{where and f' ({where})'}")


def check(value: Any) -> None:
    """Raise NotANumberError for NaN or infinity in tensors, numbers, and lists and dicts of them, at any depth."""
    if isinstance(value, torch.Tensor):
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise NotANumberError
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise NotANumberError
    elif isinstance(value, dict):
        for item in value.values():
            check(item)
    elif isinstance(value, list | tuple):
        if value and type(value[0]) is float and _all_finite(value):
            return
        for item in value:
            check(item)


def _all_finite(values: Any) -> bool:
    """Whether these are numbers with a finite sum: ten times faster than one by one, and as sure where it says so."""
    try:
        return math.isfinite(sum(values))
    except TypeError:
        return False


def watch(model: Any) -> None:
    """From now on a forward pass of this model raises NotANumberError where NaN is about to become a result.

    For models whose outputs are turned into tokens, labels or boxes by other code than ours. Of models that write,
    the last position is looked at: before it there may be padding. Not while a CUDA graph is recorded, nor when one
    is replayed, as continuous batching does on a GPU.
    """
    writes = bool(model.can_generate())

    def look(_module: Any, _arguments: Any, output: Any) -> None:
        if torch.cuda.is_available() and torch.cuda.is_current_stream_capturing():
            return
        for name in _BECOMES_A_RESULT:
            found = getattr(output, name, None)
            if not isinstance(found, torch.Tensor) or not found.is_floating_point():
                continue
            looked_at = found[:, -1] if writes and name == "logits" and found.ndim == 3 else found
            if bool(looked_at.isnan().any()):
                raise NotANumberError(name)

    model.register_forward_hook(look)
