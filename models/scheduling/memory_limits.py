"""How large a batch may be by what ran out of memory before: for each model and device, by length of its rows.

Memory is not the same at every length, as attention grows with the square of it: a limit that was met by long rows
says nothing of short ones. Each batch that passes raises its limit a little, so that one crowded moment, when a
neighbour had the memory, is forgotten. What was learnt is kept in a file, so that a restarted worker does not learn
it from its first requests again.
"""

from __future__ import annotations

import json
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

GROWTH = 1.01  # a batch: half a limit takes some 70 batches to be tried again
SAVE_SECONDS = 60.0  # between writes that only raise limits

MemoryLimit = tuple[int, int]  # rows of at least so many tokens: at most so many tokens a pass, padding included

_log = logging.getLogger("models.engine")


def allowed(memory_limits: Iterable[MemoryLimit], length: int, tokens: int) -> int:
    """The padded tokens of a pass whose longest row has `length`, when the spec allows `tokens`."""
    return min((memory_limit for least, memory_limit in memory_limits if least <= length), default=tokens)


class MemoryLimits:
    """All methods may be called from any thread. Without a path they are kept in this process alone.

    A file that cannot be read is said once and begun anew; one that cannot be written is said once.
    """

    def __init__(self, path: Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._saved_at = -math.inf
        self._changed = self._complained = False
        self._known: dict[str, dict[int, float]] = self._read()

    def of(self, model: str, device: str) -> tuple[MemoryLimit, ...]:
        """What bounds this model's batches on this device, besides its spec."""
        if not self._known:
            return ()
        with self._lock:
            return tuple(
                (length, int(tokens)) for length, tokens in sorted(self._known.get(_key(model, device), {}).items())
            )

    def ran_out(self, model: str, device: str, length: int, tokens: int) -> None:
        """A pass of `tokens`, padding included, whose longest row has `length`, did not fit."""
        with self._lock:
            known = self._known.setdefault(_key(model, device), {})
            bucket = _bucket(length)
            known[bucket] = min(known.get(bucket, math.inf), max(float(length), tokens / 2))
            self._changed = True
            self._save()

    def passed(self, model: str, device: str, length: int, limit: int) -> None:
        """A batch whose longest row has `length` fitted. A memory limit that reaches the spec's `limit` is
        forgotten."""
        known = self._known.get(_key(model, device))
        if not known:
            return
        with self._lock:
            for bucket in [bucket for bucket in known if bucket <= length]:
                known[bucket] *= GROWTH
                self._changed = True
                if known[bucket] >= limit:
                    del known[bucket]
            if not known:
                self._known.pop(_key(model, device), None)
            if self._clock() - self._saved_at > SAVE_SECONDS:
                self._save()

    def save(self) -> None:
        """Write what has changed since the last time."""
        with self._lock:
            self._save()

    def _read(self) -> dict[str, dict[int, float]]:
        if self._path is None or not self._path.exists():
            return {}
        try:
            return _checked(json.loads(self._path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            _log.warning("%s cannot be read, and is begun anew: %s", self._path, error)
            return {}

    def _save(self) -> None:
        if self._path is None or not self._changed:
            return
        self._changed, self._saved_at = False, self._clock()
        new = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(json.dumps(self._known, indent=1, sort_keys=True), encoding="utf-8")
            new.replace(self._path)
        except OSError as error:
            if not self._complained:
                _log.warning("%s cannot be written, so a restart forgets what ran out of memory: %s", self._path, error)
            self._complained = True


def _key(model: str, device: str) -> str:
    return f"{model} on {device}"


def _bucket(length: int) -> int:
    """Lengths from one power of two to the next share a limit."""
    return 1 << max(0, length.bit_length() - 1)


def _checked(read: Any) -> dict[str, dict[int, float]]:
    known = {}
    for key, buckets in read.items():
        tokens = {int(bucket): float(value) for bucket, value in buckets.items()}
        if not all(bucket > 0 and 0 < value < math.inf for bucket, value in tokens.items()):
            raise ValueError(f"{key}: memory limits are numbers above 0")
        known[str(key)] = tokens
    return known
