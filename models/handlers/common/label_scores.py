"""From a classifier's logits to labels with scores, as transformers' pipelines do it."""

from __future__ import annotations

from typing import Any

import torch


def probabilities(config: Any, logits: torch.Tensor) -> torch.Tensor:
    """(batch, labels) float32 on the CPU: independent for multi-label models, one number for regression."""
    logits = logits.float()
    if config.problem_type == "regression":
        return logits.cpu()
    if config.problem_type == "multi_label_classification" or config.num_labels == 1:
        return logits.sigmoid().cpu()
    return logits.softmax(-1).cpu()


def best(config: Any, scores: torch.Tensor, count: int) -> list[dict[str, Any]]:
    """The `count` best labels of one row, best first."""
    top = scores.topk(min(count, len(scores)))
    return [
        {"label": config.id2label[label], "score": score}
        for label, score in zip(top.indices.tolist(), top.values.tolist(), strict=True)
    ]
