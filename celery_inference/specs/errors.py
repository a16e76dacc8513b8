"""What can go wrong with a request or a model, and whose fault it is.

    InferenceError
    ├── InvalidInput (also a ValueError)   the caller's fault: HTTP 422; the same request fails the same way again
    │   ├── UnknownModel                   no model of that name in the sender's catalogue
    │   └── UnknownOption                  no option of that name in the model's spec, no such keyword
    ├── ModelFailed                        the model's fault: HTTP 500; `model_traceback` is its own
    │   ├── InputFailed                    run alone, the input made it raise, or compute what is not a number
    │   └── DeviceCrash                    run alone, the input ended the device process twice, or ran past its time
    ├── Transient                          the infrastructure's fault: HTTP 503; another try may succeed
    │   ├── DeviceLost                     the device failed, or no device is left
    │   ├── ModelOut                       no device of this worker has the model any more; another worker may
    │   ├── EngineStopped                  the engine was stopped before the request had begun
    │   └── ClaimStoreAway                 the store of uploads cannot be used now
    ├── DeploymentError                    the deployment's fault: HTTP 500; an operator must act
    │   ├── NotServedHere                  no worker of the lane knows the task, model or option, or has the store
    │   ├── CatalogueError                 a catalogue that cannot be read
    │   ├── DeviceError                    devices that are asked for and not there
    │   └── ModelLoadError                 a model that cannot be loaded
    ├── Expired                            nobody's fault: its deadline passed before its batch was sealed
    └── Cancelled                          nobody's fault: who sent it wants it no more

Celery's JSON results rebuild an exception as `cls(*args)`, so `args` is one sentence for people, everywhere. The facts
for programs stand in attributes; `facts` and `take_facts` carry them where an error goes as JSON.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, ClassVar, Self

_SHOWN_CHARACTERS = 100


def shown(value: object) -> str:
    """What a caller gave, as it may stand in a sentence: short, printable, and made in no time whatever it is."""
    if isinstance(value, str):
        start = str.__str__(value[: _SHOWN_CHARACTERS + 1])
        text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in start)
        return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
    if value is None or isinstance(value, (bool, float)):
        return str(value)
    if isinstance(value, int):
        return str(value) if abs(value) < 10**20 else f"a number of about {value.bit_length() * 3 // 10:,} digits"
    return f"a {type(value).__name__}"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was most likely meant to be, if any is close."""
    return next(iter(get_close_matches(name[:_SHOWN_CHARACTERS], list(known), n=1, cutoff=0.5)), None)


def suggestion(name: str, known: Iterable[str]) -> str:
    """` Did you mean "x"?`, or the list of what is known when nothing is close."""
    names = sorted(known)
    close = nearest(name, names)
    if close is not None:
        return f'Did you mean "{close}"?'
    return f"Known: {', '.join(names)}." if names else "There are none."


class Fault(StrEnum):
    """Who can mend it: the request's sender, the model's author, the infrastructure by itself, or who deploys."""

    CALLER = "caller"
    MODEL = "model"
    INFRASTRUCTURE = "infrastructure"
    DEPLOYMENT = "deployment"


class InferenceError(Exception):
    """Root of every error that this library and its workers raise on purpose.

    `fault` says whose fault it is, None for what is no fault. `http_status` is what a web application may answer.

    `field` names the argument, `index` which of several inputs, `limit` how much is allowed, `allowed` the names that
    are, `nearest` the one that was most likely meant, `model_traceback` where the model raised. Each is None where it
    says nothing.
    """

    fault: ClassVar[Fault | None] = None
    http_status: ClassVar[int] = 500

    field: str | None = None
    index: int | None = None
    limit: int | float | str | None = None
    allowed: tuple[str, ...] | None = None
    nearest: str | None = None
    model_traceback: str | None = None

    def facts(self) -> dict[str, Any]:
        """The attributes that say something, as JSON values."""
        values = {name: getattr(self, name) for name in _FACTS}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if value is not None
        }

    def take_facts(self, facts: object) -> None:
        """Set the attributes from what `facts` gave elsewhere. What is of another name or type is left out."""
        for name, value in facts.items() if isinstance(facts, dict) else ():
            if name in _FACTS and _FACTS[name](value):
                setattr(self, name, tuple(value) if isinstance(value, list) else value)
        if self.model_traceback and not getattr(self, "__notes__", None):
            self.add_note(self.model_traceback)


class InvalidInput(InferenceError, ValueError):
    """The caller's fault: the attributes say what is wrong, and what is allowed."""

    fault = Fault.CALLER
    http_status = 422

    @classmethod
    def because(
        cls,
        field: str,
        problem: str,
        *,
        limit: int | float | str | None = None,
        allowed: Iterable[str] | None = None,
    ) -> Self:
        """An error whose sentence is `field` followed by the problem."""
        error = cls(f"{field} {problem}")
        error.field = field
        error.limit = limit
        error.allowed = None if allowed is None else tuple(allowed)
        return error

    @classmethod
    def too_large(cls, field: str, size: float, limit: float, unit: str) -> Self:
        """`field` has more of something than the spec allows."""
        return cls.because(field, f"has {size:,} {unit}; at most {limit:,} are allowed", limit=limit)

    @classmethod
    def unknown(cls, field: str, name: object, known: Iterable[str]) -> Self:
        """`name` is none of the names that `field` may take."""
        names = list(known)
        text = shown(name)
        error = cls(f'{field} "{text}" is not known. {suggestion(text, names)}')
        error.field = field
        error.allowed = tuple(sorted(names))
        error.nearest = nearest(text, names)
        return error


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_finite(value: object) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


_FACTS: Mapping[str, Callable[[object], bool]] = {
    "field": _is_text,
    "index": lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 0,
    "limit": lambda value: isinstance(value, (int, float, str)) and not isinstance(value, bool) and _is_finite(value),
    "allowed": lambda value: isinstance(value, list) and all(isinstance(name, str) for name in value),
    "nearest": _is_text,
    "model_traceback": _is_text,
}


class UnknownModel(InvalidInput):
    """No model of that name, or none for that task."""


class UnknownOption(InvalidInput):
    """An option that the model's spec does not list."""


class ModelFailed(InferenceError):
    """The model's fault."""

    fault = Fault.MODEL


class InputFailed(ModelFailed):
    """The model raised on this input alone, or computed what is not a number."""


class DeviceCrash(ModelFailed):
    """The request, run alone, ended its device process twice (or ran past its time limit twice)."""


class Expired(InferenceError):
    """The deadline passed before the request's batch was sealed."""

    http_status = 504


class Cancelled(InferenceError):
    """The request was cancelled while it was held."""

    http_status = 409


class Transient(InferenceError):
    """The infrastructure's fault: try again."""

    fault = Fault.INFRASTRUCTURE
    http_status = 503


class DeviceLost(Transient):
    """The device failed under the request, or the engine has no device left."""


class ModelOut(Transient):
    """The model could not be loaded again after its process had ended; the sentence says why."""


class EngineStopped(Transient):
    """The engine stopped before the request had begun, or before it could end."""


class ClaimStoreAway(Transient):
    """The claim-check store did not hand out what a request claims; it may at the next try."""


class DeploymentError(InferenceError):
    """The deployment's fault: an operator must act."""

    fault = Fault.DEPLOYMENT


class NotServedHere(DeploymentError):
    """A worker has no such task, model or option, or no claim-check store; another worker of the lane may have."""


class CatalogueError(DeploymentError):
    """A catalogue that cannot be read: the sentence names file, model and key."""


class DeviceError(DeploymentError):
    """Devices that the setting asks for and the machine does not have."""


class ModelLoadError(DeploymentError):
    """A model that cannot be loaded: the sentence names the model, its source and the reason."""


_FROM_DEVICE: dict[str, type[InferenceError]] = {
    error.__name__: error
    for error in (InvalidInput, UnknownOption, ModelFailed, InputFailed, DeviceCrash, DeviceLost, ModelLoadError)
}


def rebuild(name: str, sentence: str, facts: object = None) -> InferenceError:
    """The error that a device process reported by class name, sentence and `InferenceError.facts`."""
    error = _FROM_DEVICE.get(name, InputFailed)(sentence)
    error.take_facts(facts)
    return error
