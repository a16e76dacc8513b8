"""What the text handlers share: token ids within the spec's limit, padded into tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from celery_inference.specs.errors import InvalidInput
from celery_inference.specs.model_spec import ModelSpec

Encoding = dict[str, list[int]]


class Padding:
    """Pads rows for a model that may classify by the last token that is not padding, as decoders do.

    Where its configuration has no id for padding, such a model must not take a row's own end for it: then each pass
    is padded with an id that none of its rows ends with.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._config = model.config.get_text_config()
        self._own_id: int = tokenizer.pad_token_id
        self._any_id = self._config.pad_token_id is None

    def tensors(self, encodings: Sequence[Encoding], device: torch.device) -> dict[str, torch.Tensor]:
        """See `pad`."""
        if not self._any_id:
            return pad(encodings, self._own_id, device)
        ends = {encoding["input_ids"][-1] for encoding in encodings}
        self._config.pad_token_id = next(number for number in range(len(ends) + 1) if number not in ends)
        return pad(encodings, self._config.pad_token_id, device)


def truncation(spec: ModelSpec, tokenizer: Any, wanted: bool | str) -> dict[str, Any]:
    """A tokenizer's arguments that cut a text to what the spec and the model take; `wanted` is its `truncation`."""
    if not wanted:
        return {"truncation": False}
    return {"truncation": wanted, "max_length": min(spec.max_tokens, tokenizer.model_max_length)}


def encode(
    spec: ModelSpec, tokenizer: Any, *texts: str, add_special_tokens: bool = True, cut: bool | str = False
) -> Encoding:
    """A text's (or pair of texts') ids and masks, as lists, `cut` as `truncation` says.

    Raises InvalidInput over `max_tokens`, also where cutting cannot help.
    """
    how = {"add_special_tokens": add_special_tokens, "verbose": False}
    try:
        encoded = tokenizer(*texts, **how, **truncation(spec, tokenizer, cut))
    except Exception as error:
        if not cut or "too short" not in str(error):  # the tokenizers library raises bare ones
            raise
        encoded = tokenizer(*texts, **how, truncation=False)
    size = len(encoded["input_ids"])
    if size == 0:
        raise InvalidInput.because("inputs", "has no token that the model knows")
    if size > spec.max_tokens:
        raise InvalidInput.too_large("inputs", size, spec.max_tokens, "tokens")
    return {key: list(values) for key, values in encoded.items() if isinstance(values[0], int)}


def pad(
    encodings: Sequence[Encoding], pad_id: int, device: torch.device, *, left: bool = False
) -> dict[str, torch.Tensor]:
    """`input_ids`, `attention_mask` and what else there is: each (batch, tokens) int64."""
    longest = max(len(encoding["input_ids"]) for encoding in encodings)
    padded = {}
    for key in encodings[0]:
        fill = pad_id if key == "input_ids" else 0
        rows = []
        for encoding in encodings:
            padding = [fill] * (longest - len(encoding[key]))
            rows.append(padding + encoding[key] if left else encoding[key] + padding)
        padded[key] = torch.tensor(rows, dtype=torch.int64).to(device)
    return padded
