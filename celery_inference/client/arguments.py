"""The arguments of an inference task, taken apart: what is misspelt is refused with the nearest name."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from celery_inference.specs.errors import InvalidInput, UnknownOption


class Arguments(NamedTuple):
    """Of one request: `model` is None where the pipeline task's default shall answer."""

    inputs: Any
    model: str | None
    options: dict[str, Any]
    return_errors: Any = False


def take_apart(run: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Arguments:
    """What a caller gave, by the signature of the task's `run`.

    Raises:
        UnknownOption: `inputs` or `model` is missing, and another name is near it.
        TypeError: the arguments do not fit otherwise.
    """
    signature = inspect.signature(run)
    try:
        given = signature.bind(*args, **kwargs).arguments
    except TypeError:
        names = list(signature.parameters)
        missing = [name for name in names[len(args) :] if name in ("inputs", "model") and name not in kwargs]
        for name in kwargs:
            misspelt = UnknownOption.unknown("argument", name, missing)
            if misspelt.nearest is not None:
                raise misspelt from None
        raise
    options = dict(given.get("options", {}))
    return Arguments(given["inputs"], given.get("model"), options, given.get("return_errors", False))


def check_arguments(task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuse arguments that do not fit, as messages of others may carry them. Raises InvalidInput."""
    try:
        if "self" in kwargs:
            raise TypeError("got an unexpected keyword argument 'self'")
        _signature(task).bind(*args, **kwargs)
    except TypeError as error:
        raise InvalidInput.because("arguments", f"do not fit {task.name}: {error}") from None


@functools.cache
def _signature(task: Any) -> inspect.Signature:
    """Of a task's code; worked out once a task, of which there are few."""
    return inspect.signature(task.run)
