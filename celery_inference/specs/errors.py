"""What can go wrong with a request or a model, and whose fault it is.

    InferenceError
    ├── InvalidInput (also a ValueError)   the caller's fault; the same request fails the same way again
    │   ├── UnknownModel                   no model of that name in the catalogue
    │   ├── UnknownOption                  no option of that name in the model's spec
    │   ├── DeviceCrash                    run alone, it ended its device process twice
    │   └── InputFailed                    run alone, it made the model raise
    ├── Expired                            its deadline passed before its batch was sealed
    ├── Cancelled                          who sent it wants it no more
    ├── Transient                          nobody's fault; another delivery may succeed
    │   ├── DeviceLost                     the device failed, or no device is left
    │   ├── ModelOut                       no device of this worker has the model any more; another worker may
    │   ├── EngineStopped                  the engine was stopped before the request had begun
    │   ├── NotServedHere                  this worker has not loaded the model; another of its lane may have
    │   └── ClaimStoreAway                 the store of uploads cannot be used now
    ├── CatalogueError                     the operator's fault: a catalogue that cannot be read
    ├── DeviceError                        the operator's fault: devices that are asked for and not there
    └── ModelLoadError                     the operator's fault: a model that cannot be loaded

Celery's JSON results rebuild an exception as `cls(*args)`, so `args` is one sentence for people, everywhere. The facts
for programs stand in attributes; `facts` and `take_facts` carry them where an error goes as JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Self

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


class InferenceError(Exception):
    """Root of every error that this library and its workers raise on purpose."""


class InvalidInput(InferenceError, ValueError):
    """The caller's fault.

    `field` names the argument, `index` which of several inputs, `limit` how much is allowed, `allowed` the names that
    are, `nearest` the one that was most likely meant. Each is None where it says nothing.
    """

    field: str | None = None
    index: int | None = None
    limit: int | float | str | None = None
    allowed: tuple[str, ...] | None = None
    nearest: str | None = None

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


def _is_text(value: object) -> bool:
    return isinstance(value, str)


_FACTS: Mapping[str, Callable[[object], bool]] = {
    "field": _is_text,
    "index": lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 0,
    "limit": lambda value: isinstance(value, (int, float, str)) and not isinstance(value, bool),
    "allowed": lambda value: isinstance(value, list) and all(isinstance(name, str) for name in value),
    "nearest": _is_text,
}


class UnknownModel(InvalidInput):
    """No model of that name, or none for that task."""


class UnknownOption(InvalidInput):
    """An option that the model's spec does not list."""


class InputFailed(InvalidInput):
    """The model raised on this input alone. The sentence carries the exception's type and text."""


class DeviceCrash(InvalidInput):
    """The request, run alone, ended its device process twice (or ran past its time limit twice)."""


class Expired(InferenceError):
    """The deadline passed before the request's batch was sealed."""


class Cancelled(InferenceError):
    """The request was cancelled while it was held."""


class Transient(InferenceError):
    """Nobody's fault that matters to the caller: try again."""


class DeviceLost(Transient):
    """The device failed under the request, or the engine has no device left."""


class ModelOut(Transient):
    """The model could not be loaded again after its process had ended; the sentence says why."""


class EngineStopped(Transient):
    """The engine stopped before the request had begun, or before it could end."""


class NotServedHere(Transient):
    """This worker has not loaded the model, or has no claim-check store; another worker of the lane may have."""


class ClaimStoreAway(Transient):
    """The claim-check store did not hand out what a request claims; it may at the next try."""


class CatalogueError(InferenceError):
    """A catalogue that cannot be read: the sentence names file, model and key."""


class DeviceError(InferenceError):
    """Devices that the setting asks for and the machine does not have."""


class ModelLoadError(InferenceError):
    """A model that cannot be loaded: the sentence names the model, its source and the reason."""


_FROM_DEVICE: dict[str, type[InferenceError]] = {
    error.__name__: error
    for error in (InvalidInput, InputFailed, UnknownOption, DeviceCrash, DeviceLost, ModelLoadError)
}


def rebuild(name: str, sentence: str, facts: object = None) -> InferenceError:
    """The error that a device process reported by class name, sentence and `InvalidInput.facts`."""
    error = _FROM_DEVICE.get(name, InputFailed)(sentence)
    if isinstance(error, InvalidInput):
        error.take_facts(facts)
    return error
