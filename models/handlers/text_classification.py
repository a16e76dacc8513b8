"""text-classification: the most likely labels of a text, or of a pair of texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification

from models.handlers.base import Prepared
from models.handlers.common import tokenization
from models.handlers.common.label_scores import best, probabilities
from models.handlers.encoder import Encoder


class TextClassification(Encoder):
    """Result: the `top_k` best of `{"label", "score"}`, best first."""

    auto_class = AutoModelForSequenceClassification

    def prepare(self, row: int, value: str | dict[str, str], options: dict[str, Any]) -> Prepared:
        if isinstance(value, str):
            return super().prepare(row, value, options)
        encoding = tokenization.encode(
            self.spec, self._tokenizer, value["text"], value["text_pair"], cut=options["truncation"]
        )
        return Prepared(row, encoding, len(encoding["input_ids"]), options, " ".join(value.values()))

    @torch.inference_mode()
    def forward(self, items: Sequence[Prepared]) -> Sequence[torch.Tensor]:
        return list(probabilities(self.model.config, self.model(**self._pad(items)).logits))

    def finish(self, output: torch.Tensor, item: Prepared) -> Any:
        return best(self.model.config, output, item.options["top_k"])


HANDLER = TextClassification
