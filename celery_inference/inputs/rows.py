"""The inputs of one request, and the errors of those that fail alone. No torch.

A request with `return_errors` is answered by an item for each input:

    {"result": …}
    {"error": {"type": "InvalidInput", "message": …, "fault": "caller", "field": "inputs[3]", "index": 3, "limit": …}}

An input that `delay()` refuses is sent as its item, and the worker answers it with that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from celery_inference.specs.errors import InferenceError, InvalidInput, ModelFailed

_ITEM_CHARACTERS = 4_000  # of an error that is sent in an input's place; senders write a few hundred
_TRACEBACKS_CHARACTERS = 32_000  # of all errors of an answer, which a result store has to take


def is_about_input(error: InferenceError) -> bool:
    """Whether it is one input's, and not the options', the whole request's or a worker's."""
    if isinstance(error, InvalidInput):
        return (error.field or str(error)).startswith("inputs")
    return isinstance(error, ModelFailed)


def place(error: InferenceError, index: int) -> None:
    """Say which of several inputs the error is about: in its sentence, its field and its index, once."""
    if error.index is not None or not is_about_input(error):
        return
    error.index = index
    name, sentence = f"inputs[{index}]", str(error)
    error.field = name + (error.field or "inputs").removeprefix("inputs")
    if sentence.startswith("inputs"):
        error.args = (name + sentence.removeprefix("inputs"),)


@dataclass(slots=True)
class Rows:
    """`values` are JSON once they are checked, None where an input has failed. `many`: the caller gave a list.

    `errors` are those of inputs that have failed, by index; None: the first one ends the request.
    """

    values: list[Any]
    many: bool
    errors: dict[int, InferenceError] | None = None

    def each(self, change: Callable[[Any], Any]) -> None:
        """Put in place of each input what `change` makes of it. What it raises is about an input called "inputs"."""
        for index, value in enumerate(self.values):
            if self.errors is not None and index in self.errors:
                continue
            try:
                self.values[index] = change(value)
            except InvalidInput as error:
                if self.many:
                    place(error, index)
                if self.errors is None:
                    raise
                self.values[index], self.errors[index] = None, error

    def sent(self) -> Any:
        """What a message carries: a failed input's item in its place."""
        if not self.many:
            return self.values[0]
        errors = self.errors or {}
        return [item(errors[index]) if index in errors else value for index, value in enumerate(self.values)]

    def answer(self, results: Sequence[Any]) -> Any:
        """The request's result, of those of its inputs; errors among them are of inputs that have failed."""
        if self.errors is None:
            return results if self.many else results[0]
        left, answers = _TRACEBACKS_CHARACTERS, []
        for index, result in enumerate(results):
            if not isinstance(result, InferenceError):
                answers.append({"result": result})
                continue
            place(result, index)
            answers.append(item(result))
            left -= len(result.model_traceback or "")
            if left < 0:
                answers[-1]["error"].pop("model_traceback", None)
        return answers


def item(error: InferenceError) -> dict[str, Any]:
    """The error as JSON."""
    fault = None if error.fault is None else error.fault.value
    return {"error": {"type": type(error).__name__, "message": str(error), "fault": fault, **error.facts()}}


def refused(value: object) -> InvalidInput | None:
    """The error that an input's sender has put in its place; no input of any pipeline task looks like it."""
    said = value["error"] if isinstance(value, dict) and set(value) == {"error"} else None
    if not isinstance(said, dict) or said.get("type") != InvalidInput.__name__:
        return None
    message = said.get("message")
    if not isinstance(message, str):
        return None
    error = InvalidInput(message)
    error.take_facts(said)
    return error if len(json.dumps(item(error))) <= _ITEM_CHARACTERS else None
