"""Which devices want work, and which of them is woken when some comes."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass

# A busy device is only given batches that are full. Looking costs as much as there is waiting, so it is not asked to
# look again at every request that comes in.
ROWS_BEFORE_A_BUSY_ONE_LOOKS_AGAIN = 4


@dataclass(slots=True)
class _Device:
    models: frozenset[str]
    busy: bool
    new_rows: int = 0


class IdleDevices:
    """Devices by the event that wakes them. Under the scheduler's lock."""

    def __init__(self) -> None:
        self._devices: dict[threading.Event, _Device] = {}

    def __bool__(self) -> bool:
        return bool(self._devices)

    def add(self, event: threading.Event, models: frozenset[str], *, busy: bool) -> None:
        """This device found nothing to do; `busy`: it still has a batch."""
        self._devices[event] = _Device(models, busy)

    def remove(self, event: threading.Event) -> None:
        """This device wants nothing."""
        self._devices.pop(event, None)

    def wake(self, models: Collection[str], new_rows: int) -> None:
        """Wake one device that serves any of these models, an idle one first."""
        chosen: threading.Event | None = None
        for event, device in self._devices.items():
            if device.models.isdisjoint(models):
                continue
            if not device.busy:
                chosen = event
                break
            device.new_rows += new_rows
            if new_rows == 0 or device.new_rows >= ROWS_BEFORE_A_BUSY_ONE_LOOKS_AGAIN:
                chosen = chosen or event
        if chosen is not None:
            del self._devices[chosen]
            chosen.set()
