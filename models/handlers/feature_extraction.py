"""feature-extraction: a text's vector, pooled over its tokens, or one vector a token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoModel

from models.handlers.base import Prepared
from models.handlers.common import pooling
from models.handlers.encoder import Encoder


class FeatureExtraction(Encoder):
    """Result: list[float] a text; with pooling "none" a list of them, one a token, special tokens included."""

    auto_class = AutoModel

    @torch.inference_mode()
    def forward(self, items: Sequence[Prepared]) -> Sequence[torch.Tensor]:
        batch = self._pad(items)
        states = self.model(**batch).last_hidden_state.float()  # (batch, tokens, width)
        vectors = pooling.pool(self.spec, states, batch["attention_mask"]).cpu()
        if self.spec.pooling == "none":
            return [row[: item.length] for row, item in zip(vectors, items, strict=True)]
        return list(vectors)

    def finish(self, output: torch.Tensor, item: Prepared) -> Any:
        return pooling.as_json(output)


HANDLER = FeatureExtraction
