"""text-classification: a text's most likely labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification

from models.handlers.base import Prepared
from models.handlers.common.label_scores import best, probabilities
from models.handlers.encoder import Encoder


class TextClassification(Encoder):
    """Result: the `top_k` best of `{"label", "score"}`, best first."""

    auto_class = AutoModelForSequenceClassification

    @torch.inference_mode()
    def forward(self, items: Sequence[Prepared]) -> Sequence[torch.Tensor]:
        return list(probabilities(self.model.config, self.model(**self._pad(items)).logits))

    def finish(self, output: torch.Tensor, item: Prepared) -> Any:
        return best(self.model.config, output, item.options["top_k"])


HANDLER = TextClassification
