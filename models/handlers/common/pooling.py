"""From the states of an input's tokens to its vector, as the spec names it."""

from __future__ import annotations

import torch

from celery_inference.specs.model_spec import ModelSpec

# Vectors leave as decimal text: eight decimals keep what float32 holds of numbers around one, in half the bytes.
_DECIMALS = 8


def pool(spec: ModelSpec, states: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """(…, tokens, width) to (…, width): the mean over the tokens of `mask`, or the first; with "none" as it was.

    `mask` is (…, tokens), 1 for tokens and 0 for padding; None where nothing is padded. Normalized to length one if
    the spec says so, token by token with "none".
    """
    if spec.pooling == "cls":
        states = states[..., 0, :]
    elif spec.pooling == "mean":
        weights = (torch.ones(states.shape[:-1]) if mask is None else mask).unsqueeze(-1).to(states)
        states = (states * weights).sum(-2) / weights.sum(-2)
    return torch.nn.functional.normalize(states, dim=-1) if spec.normalize else states


def as_json(vectors: torch.Tensor) -> list[float] | list[list[float]]:
    """A vector, or one a token, as numbers."""
    return vectors.double().round(decimals=_DECIMALS).tolist()
