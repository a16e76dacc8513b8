"""What is known about each pipeline task before any model is loaded: inputs, options, batch defaults.

A kind is a task of transformers' pipelines that this project serves. Everything here is data, so that senders
check requests by it and the batching policy reads it, both without torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from models.errors import suggestion

Media = Literal["text", "chat", "image"]
Value = int | float | bool | str | list[str] | None


@dataclass(frozen=True, slots=True)
class Option:
    """An option that callers may give. Bounds are inclusive; `choices` and `maximum` exclude each other.

    `type` is "int", "float", "bool", "str" or "strings" (a list of strings, `maximum` bounding its length).
    `shapes_batch`: requests that differ in it cannot share one forward pass.
    """

    type: Literal["int", "float", "bool", "str", "strings"]
    default: Value = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    required: bool = False
    shapes_batch: bool = False

    def problem_with(self, value: object) -> str | None:
        """What is wrong with a value given for this option, as the end of a sentence, or None."""
        if not self._has_type(value):
            article = {"int": "an integer", "float": "a number", "bool": "true or false", "str": "a text"}
            return f"must be {article.get(self.type, 'a list of texts')}, not {type(value).__name__}"
        if self.choices and value not in self.choices:
            return f'"{value}" is not one of {", ".join(self.choices)}. {suggestion(str(value), self.choices)}'
        texts = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        if any("\ud800" <= letter <= "\udfff" for text in texts for letter in text):
            return "has half a surrogate pair, which is no text"
        size: float
        if isinstance(value, (str, list)):
            size, what = len(value), "characters" if isinstance(value, str) else "texts"
        else:
            size, what = value if isinstance(value, (int, float)) else 0, ""
        return None if isinstance(value, bool) else self._problem_with_size(size, what)

    def _problem_with_size(self, size: float, what: str) -> str | None:
        if self.minimum is not None and size < self.minimum:
            return f"must have at least {self.minimum} {what}" if what else f"is {size}; at least {self.minimum}"
        if self.maximum is not None and size > self.maximum:
            return f"has {size} {what}; at most {self.maximum}" if what else f"is {size}; at most {self.maximum}"
        return None

    def _has_type(self, value: object) -> bool:
        if self.type == "bool" or isinstance(value, bool):
            return self.type == "bool" and isinstance(value, bool)
        if self.type == "strings":
            return isinstance(value, list) and all(isinstance(item, str) and item.strip() for item in value)
        if self.type == "float":
            return isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
        return isinstance(value, int if self.type == "int" else str)


@dataclass(frozen=True, slots=True)
class Kind:
    """One pipeline task: `adapter` is the module in `models.adapters` that runs it.

    `batches_held` is how many batches a device wants waiting so that lengths can be matched: many where a batch
    takes milliseconds, few where it takes seconds.
    """

    task: str
    media: Media
    adapter: str
    options: Mapping[str, Option] = field(default_factory=dict)
    batch_size: int = 16
    batch_tokens: int = 8192
    batches_held: int = 8
    max_tokens: int = 512


_GENERATION = {
    "max_new_tokens": Option("int", default=64, minimum=1, maximum=512, shapes_batch=True),
    "do_sample": Option("bool", default=False, shapes_batch=True),
    "temperature": Option("float", default=1.0, minimum=0.01, maximum=2.0, shapes_batch=True),
    "top_p": Option("float", default=1.0, minimum=0.01, maximum=1.0, shapes_batch=True),
    "top_k": Option("int", default=50, minimum=1, maximum=1000, shapes_batch=True),
    "repetition_penalty": Option("float", default=1.0, minimum=0.5, maximum=2.0, shapes_batch=True),
    "seed": Option("int", minimum=0, maximum=2**31 - 1, shapes_batch=True),
}
_ZERO_SHOT = {
    "candidate_labels": Option("strings", required=True, minimum=1, maximum=64),
    "hypothesis_template": Option("str", default="This example is {}.", maximum=200),
    "multi_label": Option("bool", default=False),
}

KINDS: Mapping[str, Kind] = {
    kind.task: kind
    for kind in (
        Kind("feature-extraction", "text", "feature_extraction"),
        Kind(
            "text-classification",
            "text",
            "text_classification",
            {"top_k": Option("int", default=1, minimum=1, maximum=1000)},
        ),
        Kind(
            "token-classification",
            "text",
            "token_classification",
            {
                "aggregation_strategy": Option(
                    "str", default="simple", choices=("none", "simple", "first", "average", "max")
                )
            },
        ),
        Kind("zero-shot-classification", "text", "zero_shot_classification", _ZERO_SHOT),
        Kind(
            "fill-mask",
            "text",
            "general",
            {"top_k": Option("int", default=5, minimum=1, maximum=100)},
        ),
        Kind(
            "text-generation",
            "chat",
            "text_generation",
            _GENERATION,
            batch_size=8,
            batches_held=2,
            max_tokens=1024,
        ),
        Kind(
            "image-classification",
            "image",
            "image_classification",
            {"top_k": Option("int", default=5, minimum=1, maximum=1000)},
        ),
    )
}
