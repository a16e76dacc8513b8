"""When a device process has leaked so much memory that it is replaced: one at a time in an engine."""

from __future__ import annotations

import logging
import threading
import time

from models.supervision.process import DeviceProcess

LOOK_SECONDS = 1.0

_log = logging.getLogger("models.engine")


class MemoryRecycling:
    """Of one device. `turn` is held by the one whose process is being replaced. Without a limit nothing is."""

    def __init__(self, name: str, limit_bytes: int | None, turn: threading.Lock) -> None:
        self._name = name
        self._limit_bytes = limit_bytes
        self._turn = turn
        self._recycle_bytes = 0
        self._looked_at = 0.0
        self.replacing = False

    @property
    def look_seconds(self) -> float | None:
        """How often to ask; None for never."""
        return None if self._limit_bytes is None else LOOK_SECONDS

    def loaded(self, process: DeviceProcess) -> None:
        """The process has loaded its models. A limit that it is over by then would replace it for ever."""
        if self._limit_bytes is None:
            return
        size = process.memory_bytes()
        self._recycle_bytes = max(self._limit_bytes, size + size // 4)
        if self._recycle_bytes > self._limit_bytes:
            said = "device %s: its process has %d MB when its models are loaded, and is replaced at %d MB only"
            _log.warning(said, self._name, size // 10**6, self._recycle_bytes // 10**6)

    def look(self, process: DeviceProcess) -> bool:
        """Whether the process is to be replaced now; then this device has the turn, until `done`."""
        now = time.monotonic()
        if self._limit_bytes is None or self.replacing or now - self._looked_at < LOOK_SECONDS:
            return self.replacing
        self._looked_at = now
        size = process.memory_bytes()
        if size > self._recycle_bytes and self._turn.acquire(blocking=False):
            self.replacing = True
            _log.warning("device %s: its process has %d MB in memory, and is replaced", self._name, size // 10**6)
        return self.replacing

    def done(self) -> None:
        """Another process is ready, or none will be."""
        if self.replacing:
            self.replacing = False
            self._turn.release()
