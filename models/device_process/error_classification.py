"""Whose fault an exception in a device process is: the input's, the memory's, or the device's."""

from __future__ import annotations

import errno
from typing import Any

from celery_inference.redaction import told, traceback_of
from celery_inference.specs.errors import InferenceError, InputFailed

_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory")
# After any of these nothing runs in this process any more (CUDA calls such errors sticky), or the machine fails.
_DEVICE_IS_GONE = (
    "cuda error",
    "cudnn_status",
    "cublas_status",
    "nccl",
    "no space left on device",
    "input/output error",
)
# Sticky too, but raised by what was computed: an index out of range, as a bad input may have one.
_ASSERTION = "device-side assert"
_MACHINE = {errno.ENOSPC, errno.EIO, errno.EMFILE, errno.ENFILE, errno.EROFS, errno.EDQUOT}


class DeviceFailed(Exception):
    """The device will not run anything again in this process. Nobody's input is to blame."""


class Poisoned(Exception):
    """The process is of no more use, and the batch that it ran may be why: its members are tried alone.

    `traceback` says where the model raised.
    """

    def __init__(self, sentence: str, traceback: str) -> None:
        super().__init__(sentence)
        self.traceback = traceback


def is_memory(error: BaseException) -> bool:
    """Whether a smaller batch may succeed."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in _MEMORY)


def raise_if_sticky(error: Exception, keep: int) -> None:
    """Raise DeviceFailed or Poisoned for what says by itself that this process is done.

    `keep` is here and below how many characters of inputs may be shown: see `celery_inference.redaction.told`.
    """
    if is_memory(error):
        return
    text = str(error).lower()
    if _ASSERTION in text:
        raise Poisoned(one_line(error, keep, _ASSERTION), model_traceback(error, keep)) from error
    words = next((words for words in _DEVICE_IS_GONE if words in text), "")
    if words or (isinstance(error, OSError) and error.errno in _MACHINE):
        raise DeviceFailed(one_line(error, keep, words)) from error


def failure(error: Exception, keep: int) -> dict[str, Any]:
    """The answer to an input that raised this, alone."""
    if isinstance(error, InferenceError):
        return {"error": type(error).__name__, "sentence": str(error), "facts": error.facts()}
    facts = {"model_traceback": model_traceback(error, keep)}
    sentence = (
        f"inputs does not fit into the device's memory, even alone: {one_line(error, keep)}"
        if is_memory(error)
        else f"inputs made the model raise, alone too: {one_line(error, keep)}"
    )
    return {"error": InputFailed.__name__, "sentence": sentence, "facts": facts}


def model_traceback(error: BaseException, keep: int) -> str:
    """Where the model raised, as text."""
    return f"In the device process:\n{traceback_of(error, keep)}"


def one_line(error: BaseException, keep: int, known: str = "") -> str:
    """Class and text, at most some 300 characters; where the text is withheld, the words that were `known` in it."""
    text = " ".join(str(told(error, keep)).split())
    text = f"{known} {text}" if known and known not in text.lower() else text
    return f"{type(error).__name__}: {text[:300]}{'…' if len(text) > 300 else ''}"
