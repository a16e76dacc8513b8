"""What hosts have begun and failed, by minutes; a worker writes its own counts now and then, not at each batch.

What a killed worker has not written is lost; these figures only compare hosts, and no request depends on them.
"""

import math
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress

from celery_inference.results.items import PART, Query, named
from celery_inference.results.protocol import HostCounts, StoreUnavailable
from celery_inference.results.table import ItemTable

HOSTS = "hosts"
LOOKS_A_WRITE = 1.5
KEEP_SECONDS = 3_600


class HostCounters:
    """Thread-safe."""

    def __init__(self, table: ItemTable) -> None:
        self._table = table
        self._lock = threading.Lock()
        self._started: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._written_at = -math.inf

    def started(self, hosts: Mapping[str, int]) -> None:
        """Attempts have begun on these hosts; never raises."""
        with self._lock:
            self._started.update(hosts)
            if time.monotonic() - self._written_at < LOOKS_A_WRITE * self._table.look_seconds:
                return
        with suppress(StoreUnavailable):
            self.write()

    def failed(self, host: str, count: int) -> None:
        """So many have failed there."""
        with self._lock:
            self._failed[host] += count
        self.write()

    def write(self) -> None:
        """Write what is counted. Raises StoreUnavailable, and then forgets it."""
        with self._lock:
            started, failed = self._started, self._failed
            self._started, self._failed = Counter(), Counter()
            self._written_at = time.monotonic()
        minute = int(time.time() // 60)
        for host in started | failed:
            numbers = {"started": started[host], "failed": failed[host]}
            self._table.add((HOSTS, f"{minute:010}#{named(host)}"), numbers, minute * 60 + KEEP_SECONDS)

    def since(self, since: float) -> dict[str, HostCounts]:
        """The figures of each host since then, in minutes; what is counted here is written first."""
        if self._started or self._failed:
            self.write()
        found: dict[str, HostCounts] = {}
        for item in self._table.query(Query(HOSTS, place=(">=", f"{int(since // 60):010}"))):
            host = str(item[PART]).partition("#")[2]
            before = found.get(host, HostCounts())
            found[host] = HostCounts(before.started + int(item["started"]), before.failed + int(item["failed"]))
        return found
