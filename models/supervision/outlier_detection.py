"""What a supervisor knows of the other devices of its engine, and whether its own is worse than they are."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from typing import Protocol

from models.placement import Placement

WINDOW_SECONDS = 600.0
MOST_BATCHES = 200  # of a device; what was before says little of now
LEAST_BATCHES = 10  # of a device, and of its peers together, before a share of them says anything
SHARE = 0.5
TIMES = 4.0  # so much larger than the peers' share


def far_worse(own: tuple[int, int], peers: tuple[int, int], *, least: int) -> bool:
    """Whether who failed so many of so many, (failed, all), is at fault itself; not where everybody fails alike."""
    (failed, ended), (peers_failed, peers_ended) = own, peers
    if ended < least or peers_ended < least or failed <= SHARE * ended:
        return False
    return failed / ended > TIMES * peers_failed / peers_ended


class Peer(Protocol):
    """What is compared of a device: its `models.supervision.supervisor`'s view of it."""

    place: Placement
    models: frozenset[str]

    @property
    def state(self) -> str: ...
    def serves(self, model: str) -> bool: ...


class OutlierDetection:
    """The supervisors of one engine. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._supervisors: Collection[Peer] = ()
        self._batches: dict[str, deque[tuple[float, bool]]] = {}

    def use(self, supervisors: Collection[Peer]) -> None:
        """These are they; before any of them starts."""
        self._supervisors = supervisors

    def are_ready(self, supervisor: Peer) -> bool:
        """Whether this device may run what has ended a device process before: not while another of the same models is
        still starting again, or one bad input could take out all."""
        starting = [other for other in self._others(supervisor) if other.state not in ("ready", "lost")]
        return all(other.models.isdisjoint(supervisor.models) for other in starting)

    def serving(self, supervisor: Peer) -> set[str]:
        """Those of its models that others serve."""
        ready = [other for other in self._others(supervisor) if other.state == "ready"]
        return {model for model in supervisor.models if any(other.serves(model) for other in ready)}

    def record_batch(self, supervisor: Peer, *, failed: bool) -> str:
        """A batch has ended there, or failed with its device process. Why the device should take nothing more, if so.

        Devices are compared with those of the same models. A death that its input explains counts as well: such an
        input ends the processes of two devices, where there are two.
        """
        own = supervisor.place.name
        peers = [other.place.name for other in self._others(supervisor) if other.models & supervisor.models]
        with self._lock:
            self._batches.setdefault(own, deque(maxlen=MOST_BATCHES)).append((self._clock(), failed))
            if not failed:
                return ""
            here = self._count([own])
            there = self._count(peers)
        if not far_worse(here, there, least=LEAST_BATCHES):
            return ""
        return f"{here[0]} of its last {here[1]} batches failed, and only {there[0]} of {there[1]} on other devices"

    def _others(self, supervisor: Peer) -> list[Peer]:
        return [other for other in self._supervisors if other is not supervisor]

    def _count(self, places: Collection[str]) -> tuple[int, int]:
        since = self._clock() - WINDOW_SECONDS
        ended = [failed for place in places for when, failed in self._batches.get(place, ()) if when >= since]
        return sum(ended), len(ended)
