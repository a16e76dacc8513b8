"""Inputs are personal data: how much of them may be seen outside the message and the result store.

`inference_keep_inputs` is a number of characters for each place that would show arguments: the events, the logs, the
index of dead letters and the pages made of them. The default is 0: nothing.
"""

import errno
import logging
import os
import re
import traceback
from typing import Any

from celery_inference.specs.errors import InferenceError

WITHHELD = "(withheld)"
TRACEBACK_CHARACTERS = 8_000
_FRAMES = 30  # of each exception in a chain, the innermost ones
_CHAIN = 50  # exceptions in a chain or a group that are told of; nobody reads further, and Python's stack has an end
_NESTED = 4  # containers within each other, in what a log line is given
# What our own senders write instead of arguments.
_HARMLESS = re.compile(r"\(\d+ inputs\)|\{'model': '[\w.@/-]{1,100}'\}")


def withheld(text: Any, characters: int) -> str:
    """As much of a text that may hold inputs as is allowed."""
    if isinstance(text, str) and _HARMLESS.fullmatch(text):
        return text
    if not isinstance(text, str) or characters <= 0:
        return WITHHELD
    return text if len(text) <= characters else text[:characters] + "…"


def shown(value: Any, characters: int) -> str:
    """As much of a value that may be an input as is allowed, as Python writes it."""
    return withheld(repr(value), characters) if characters > 0 else WITHHELD


def without_secret(url: str) -> str:
    """A URL, or what was meant to be one, as a sentence may show it: without its user, password and query."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "", url
    address, question, query = rest.partition("?")
    if "@" in query:  # the mark may be a password's
        return f"{scheme}{separator}***"
    user, at, host = address.rpartition("@")
    if not at and ":" in host:
        host, colon, port = host.partition(":")
        user = "" if port.split("/")[0].isdecimal() else colon
        host += f":{port}" if not user else ""
    masked = f"***@{host}" if user or at else host
    return f"{scheme}{separator}{masked}{'?***' if question else ''}"


def told(error: BaseException, characters: int) -> BaseException:
    """The error as logs, events, pages and dead letters may show it: its class, its frames, those of what it came
    from, and its text only where inputs are shown, since any library may quote one there.

    Our own errors, which name fields and limits and quote no input, and the operating system's keep their texts.
    """
    return error if characters > 0 else _told(error, {}, 0)


def traceback_of(error: BaseException, characters: int) -> str:
    """The text of its traceback, told as above; its end, where it is long."""
    text = "".join(traceback.format_exception(told(error, characters), limit=-_FRAMES))
    return text if len(text) <= TRACEBACK_CHARACTERS else f"…{text[-TRACEBACK_CHARACTERS:]}"


def _told(error: BaseException, done: dict[int, BaseException], depth: int) -> BaseException:
    if id(error) in done:
        return done[id(error)]
    kind, text, within = type(error), _text(error), list[Exception]()
    if isinstance(error, BaseExceptionGroup) and depth < _CHAIN:
        within = [
            part for each in error.exceptions[:_CHAIN] if isinstance(part := _told(each, done, depth + 1), Exception)
        ]
    base = ExceptionGroup if within else Exception
    stand_in: BaseException = type(kind.__name__, (base,), {"__module__": kind.__module__})(
        text, *([within] if within else [])
    )
    done[id(error)] = stand_in
    stand_in.__traceback__ = error.__traceback__
    if isinstance(error, InferenceError) and error.model_traceback:
        stand_in.add_note(error.model_traceback)
    if error.__context__ is not None and depth < _CHAIN:
        stand_in.__context__ = _told(error.__context__, done, depth + 1)
    if error.__cause__ is not None and depth < _CHAIN:
        stand_in.__cause__ = _told(error.__cause__, done, depth + 1)
    stand_in.__suppress_context__ = error.__suppress_context__
    return stand_in


def _with_errors_told(value: Any, depth: int = 0) -> Any:
    """What a log line is given, with the errors in it told; what is nested too deep for that is withheld."""
    if isinstance(value, BaseException):
        return told(value, 0)
    if not isinstance(value, dict | list | tuple | set | frozenset):
        return value
    if depth == _NESTED:
        return WITHHELD
    if isinstance(value, dict):
        return {key: _with_errors_told(each, depth + 1) for key, each in value.items()}
    parts = [_with_errors_told(each, depth + 1) for each in value]
    if all(part is each for part, each in zip(parts, value, strict=True)):
        return value
    return tuple(parts) if isinstance(value, tuple) else parts


def _text(error: BaseException) -> str:
    if isinstance(error, InferenceError) or getattr(error, "quotes_no_input", False):
        return str(error)
    if isinstance(error, OSError) and error.errno is not None and error.errno in errno.errorcode:
        return os.strerror(error.errno)
    return WITHHELD


class TextFilter(logging.Filter):
    """For the handlers of a process that works on requests: errors in log lines are told as `told` does."""

    def __init__(self, characters: int) -> None:
        super().__init__()
        self._characters = characters

    def filter(self, record: logging.LogRecord) -> bool:
        """Pass the record, its errors told; of what quotes whole messages, nothing at DEBUG."""
        if self._characters > 0:
            return True
        if record.levelno < logging.INFO and record.name.startswith(_QUOTING):
            return False
        if record.exc_info and isinstance(record.exc_info[1], BaseException):
            shown = told(record.exc_info[1], 0)
            record.exc_info, record.exc_text = (type(shown), shown, shown.__traceback__), None
        for name, value in vars(record).items():  # the message, its arguments, and what `extra` gave
            if name != "exc_info":
                setattr(record, name, _with_errors_told(value))
        return True


# Loggers that write requests, answers or arguments at DEBUG.
_QUOTING = ("botocore", "boto3", "urllib3", "kombu", "celery.pool", "celery.bootsteps", "celery.utils.functional")
