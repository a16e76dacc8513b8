"""text-classification: a text's most likely labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification

from models.adapters import loading, text
from models.adapters.base import Adapter, Prepared
from models.adapters.labels import best, probabilities
from models.spec import ModelSpec


class TextClassification(Adapter):
    """Result: the `top_k` best of `{"label", "score"}`, best first."""

    def __init__(self, spec: ModelSpec, device: torch.device) -> None:
        super().__init__(spec, device)
        self._tokenizer = loading.tokenizer(spec)
        self._model = loading.model(spec, AutoModelForSequenceClassification, device)
        loading.agree_on_padding(self._model, self._tokenizer)

    def prepare(self, row: int, value: str, options: dict[str, Any]) -> Prepared:
        encoding = text.encode(self.spec, self._tokenizer, value)
        return Prepared(row, encoding, len(encoding["input_ids"]), options, value)

    @torch.inference_mode()
    def forward(self, items: Sequence[Prepared]) -> Sequence[torch.Tensor]:
        batch = text.pad([item.value for item in items], self._tokenizer.pad_token_id, self.device)
        return list(probabilities(self._model.config, self._model(**batch).logits))

    def finish(self, output: torch.Tensor, item: Prepared) -> Any:
        return best(self._model.config, output, item.options["top_k"])


ADAPTER = TextClassification
