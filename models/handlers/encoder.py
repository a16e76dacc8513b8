"""What handlers of encoder models share: one text, one row of token ids, one padded pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch

from celery_inference.specs.model_spec import ModelSpec
from models.handlers.base import Handler, Prepared
from models.handlers.common import from_pretrained, tokenization


class Encoder(Handler):
    """Loads tokenizer and model; a subclass names the model's auto class and reads its outputs."""

    auto_class: ClassVar[Any]
    lengths = ("dog", Handler.example)

    def __init__(self, spec: ModelSpec, device: torch.device) -> None:
        super().__init__(spec, device)
        self._tokenizer = from_pretrained.tokenizer(spec)
        self.model = from_pretrained.model(spec, self.auto_class, device)
        self._padding = tokenization.Padding(self.model, self._tokenizer)

    def prepare(self, row: int, value: Any, options: dict[str, Any]) -> Prepared:
        encoding = tokenization.encode(self.spec, self._tokenizer, value, cut=options["truncation"])
        return Prepared(row, encoding, len(encoding["input_ids"]), options, value)

    def _pad(self, items: Sequence[Prepared]) -> dict[str, torch.Tensor]:
        return self._padding.tensors([item.value for item in items], self.device)
