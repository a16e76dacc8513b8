"""Options of a pipeline task: types, bounds, and what is wrong with a value."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from celery_inference.specs.errors import shown, suggestion

_TEMPLATE = re.compile(r"[^{}]*\{\}[^{}]*")  # str.format, which pipelines call, reads attributes and pads to any width
_MAX_TEXT_CHARACTERS = 1_000  # of an option, or of each text of one: labels are words, not documents
Value = int | float | bool | str | list[str] | None


@dataclass(frozen=True, slots=True)
class Option:
    """An option that callers may give. Bounds are inclusive; `choices` and `maximum` exclude each other.

    `type` is "int", "float", "bool", "str" or "strings" (a list of strings, `maximum` bounding its length).
    "template" is a text with one `{}` in it. `unused_with` is another option and the value of it, given or default,
    with which this one would do nothing. `shapes_batch`: requests that differ in it cannot share one forward pass.
    """

    type: Literal["int", "float", "bool", "str", "strings", "template"]
    default: Value = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    required: bool = False
    shapes_batch: bool = False
    unused_with: tuple[str, Value] | None = None

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Option:
        """The option whose fields JSON has kept, tuples as lists."""
        fields: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in values.items()}
        return cls(**fields)

    def problem_with(self, value: object) -> str | None:
        """What is wrong with a value given for this option, as the end of a sentence, or None."""
        if not self._has_type(value):
            article = {"int": "an integer", "float": "a number", "bool": "true or false", "strings": "a list of texts"}
            return f"must be {article.get(self.type, 'a text')}, not {type(value).__name__}"
        if isinstance(value, bool):
            return None
        if isinstance(value, (int, float)):
            return self._problem_with_number(value)
        if isinstance(value, list):
            return self._problem_with_size(len(value), "texts") or _problem_with_items(value)
        return self._problem_with_text(str(value))

    def bound_for(self, value: object) -> float | None:
        """The bound that a value is compared with: the least where it is below that, else the most."""
        size = value if isinstance(value, (int, float)) else len(value) if isinstance(value, (str, list)) else None
        below = self.minimum is not None and size is not None and size < self.minimum
        return self.minimum if below else self.maximum

    def _problem_with_number(self, value: float) -> str | None:
        if self.minimum is not None and value < self.minimum:
            return f"is {shown(value)}; at least {self.minimum}"
        most = 2**53 if self.maximum is None else self.maximum
        return f"is {shown(value)}; at most {most}" if value > most else None

    def _problem_with_text(self, text: str) -> str | None:
        problem = self._problem_with_size(len(text), "characters") or _problem_with_letters(text)
        if problem is None and self.type == "template" and _TEMPLATE.fullmatch(text) is None:
            return "must have one {} where the label goes, and no other braces"
        if problem is None and self.choices and text not in self.choices:
            given = shown(text)
            return f'"{given}" is not one of {", ".join(self.choices)}. {suggestion(given, self.choices)}'
        return problem

    def _problem_with_size(self, size: int, what: str) -> str | None:
        if self.minimum is not None and size < self.minimum:
            return f"must have at least {self.minimum} {what}"
        if self.maximum is not None and size > self.maximum:
            return f"has {size} {what}; at most {self.maximum}"
        return None

    def _has_type(self, value: object) -> bool:
        if self.type == "bool" or isinstance(value, bool):
            return self.type == "bool" and isinstance(value, bool)
        if self.type == "strings":
            return isinstance(value, list)
        if self.type == "float":
            return isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
        return isinstance(value, int if self.type == "int" else str)


def _problem_with_items(values: list[object]) -> str | None:
    for value in values:
        if not isinstance(value, str) or (len(value) <= _MAX_TEXT_CHARACTERS and not value.strip()):
            return "must be a list of texts, none of them empty"
        if problem := _problem_with_letters(value):
            return problem
    return None


def _problem_with_letters(text: str) -> str | None:
    if len(text) > _MAX_TEXT_CHARACTERS:
        return f"has a text of {len(text):,} characters; at most {_MAX_TEXT_CHARACTERS:,}"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "has half a surrogate pair, which is no text"
    return None
