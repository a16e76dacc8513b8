"""Inputs that end device processes, in a partition of their own.

Each request asks, and hardly any is one: a process reads them all now and then instead of one at a time.
"""

import math
import threading
import time
from collections.abc import Collection, Mapping

from celery_inference.results.items import ID, PART, TTL, Query, ttl_of
from celery_inference.results.table import ItemTable

KILLERS = "killers"


class PoisonInputRecords:
    """Thread-safe. For the table's `look_seconds` an input that killed elsewhere may still be tried here."""

    def __init__(self, table: ItemTable) -> None:
        self._table = table
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, str]] = {}  # when it is forgotten, and why it is known
        self._looked_at = -math.inf

    def record(self, digest: str, sentence: str, keep_seconds: float) -> None:
        """Remember it, here and elsewhere."""
        expires_at = time.time() + keep_seconds
        self._table.put([{ID: KILLERS, PART: digest, "sentence": sentence, TTL: ttl_of(expires_at)}])
        self._known = {**self._known, digest: (expires_at, sentence)}

    def among(self, digests: Collection[str]) -> Mapping[str, str]:
        """The sentences of those that are known."""
        self._look()
        now, known = time.time(), self._known
        found = {digest: known[digest] for digest in digests if digest in known}
        return {digest: sentence for digest, (expires_at, sentence) in found.items() if expires_at > now}

    def _look(self) -> None:
        # While one thread reads, the others go on with what is known, if anything was ever read.
        if time.monotonic() - self._looked_at < self._table.look_seconds:
            return
        if not self._lock.acquire(blocking=self._looked_at == -math.inf):
            return
        try:
            if time.monotonic() - self._looked_at < self._table.look_seconds:
                return
            self._looked_at = time.monotonic()
            self._known = {
                str(item[PART]): (float(item[TTL]), str(item["sentence"]))
                for item in self._table.query(Query(KILLERS, lagging=True))
            }
        finally:
            self._lock.release()
