"""feature-extraction: a text's vector, pooled over its tokens, or one vector a token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoModel

from models.adapters import loading, text
from models.adapters.base import Adapter, Prepared
from models.spec import ModelSpec

# Vectors leave as decimal text: eight decimals keep what float32 holds of numbers around one, in half the bytes.
_DECIMALS = 8


class FeatureExtraction(Adapter):
    """Result: list[float] a text; with pooling "none" a list of them, one a token, special tokens included."""

    def __init__(self, spec: ModelSpec, device: torch.device) -> None:
        super().__init__(spec, device)
        self._tokenizer = loading.tokenizer(spec)
        self._model = loading.model(spec, AutoModel, device)

    def prepare(self, row: int, value: str, options: dict[str, Any]) -> Prepared:
        encoding = text.encode(self.spec, self._tokenizer, value)
        return Prepared(row, encoding, len(encoding["input_ids"]), options, value)

    @torch.inference_mode()
    def forward(self, items: Sequence[Prepared]) -> Sequence[torch.Tensor]:
        batch = text.pad([item.value for item in items], self._tokenizer.pad_token_id, self.device)
        states = self._model(**batch).last_hidden_state.float()  # (batch, tokens, width)
        if self.spec.pooling == "none":
            rows = [state[: item.length] for state, item in zip(states, items, strict=True)]
            vectors = [torch.nn.functional.normalize(row, dim=-1) for row in rows] if self.spec.normalize else rows
            return [vector.cpu() for vector in vectors]
        if self.spec.pooling == "cls":
            pooled = states[:, 0]
        else:
            mask = batch["attention_mask"].unsqueeze(-1).to(states.dtype)
            pooled = (states * mask).sum(1) / mask.sum(1)
        if self.spec.normalize:
            pooled = torch.nn.functional.normalize(pooled, dim=-1)
        return list(pooled.cpu())

    def finish(self, output: torch.Tensor, item: Prepared) -> Any:
        return output.double().round(decimals=_DECIMALS).tolist()


ADAPTER = FeatureExtraction
