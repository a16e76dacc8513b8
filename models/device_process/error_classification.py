"""Whose fault an exception in a device process is: the input's, the memory's, or the device's."""

from __future__ import annotations

import errno
from typing import Any

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
    """The process is of no more use, and the batch that it ran may be why: its members are tried alone."""


def is_memory(error: BaseException) -> bool:
    """Whether a smaller batch may succeed."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in _MEMORY)


def raise_if_sticky(error: Exception) -> None:
    """Raise DeviceFailed or Poisoned for what says by itself that this process is done."""
    if is_memory(error):
        return
    text = str(error).lower()
    if _ASSERTION in text:
        raise Poisoned(one_line(error)) from error
    if any(words in text for words in _DEVICE_IS_GONE) or (isinstance(error, OSError) and error.errno in _MACHINE):
        raise DeviceFailed(one_line(error)) from error


def failure(error: Exception) -> dict[str, Any]:
    """The answer to an input that raised this, alone."""
    if isinstance(error, InferenceError):
        return {"error": type(error).__name__, "sentence": str(error), "facts": error.facts()}
    sentence = (
        f"inputs does not fit into the device's memory, even alone: {one_line(error)}"
        if is_memory(error)
        else f"inputs made the model raise, alone too: {one_line(error)}"
    )
    return {"error": InputFailed.__name__, "sentence": sentence}


def one_line(error: BaseException) -> str:
    """Class and text, at most some 300 characters."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}{'…' if len(text) > 300 else ''}"
