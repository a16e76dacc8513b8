"""What adapters of encoder models share: one text, one row of token ids, one padded pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch

from celery_inference.specs.model_spec import ModelSpec
from models.adapters import loading, text
from models.adapters.base import Adapter, Prepared


class Encoder(Adapter):
    """Loads tokenizer and model; a subclass names the model's auto class and reads its outputs."""

    auto_class: ClassVar[Any]
    lengths = ("dog", Adapter.example)

    def __init__(self, spec: ModelSpec, device: torch.device) -> None:
        super().__init__(spec, device)
        self._tokenizer = loading.tokenizer(spec)
        self._model = loading.model(spec, self.auto_class, device)
        loading.agree_on_padding(self._model, self._tokenizer)

    def prepare(self, row: int, value: str, options: dict[str, Any]) -> Prepared:
        encoding = text.encode(self.spec, self._tokenizer, value)
        return Prepared(row, encoding, len(encoding["input_ids"]), options, value)

    def _pad(self, items: Sequence[Prepared]) -> dict[str, torch.Tensor]:
        return text.pad([item.value for item in items], self._tokenizer.pad_token_id, self.device)
