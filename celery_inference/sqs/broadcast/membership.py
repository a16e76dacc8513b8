"""Who takes part: the queues under the prefix, listed and remembered."""

import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from celery_inference.sqs.api.clients import SqsClients
from celery_inference.sqs.broadcast.queue_names import QueueKind, queue_kind_of
from celery_inference.sqs.errors import SqsError

PAGE = 1_000  # API_ListQueues: the most names of one answer
# A list may lack a queue for a second after its creation and hold it for a minute after its deletion.
TRUSTED_SECONDS = 90.0
YOUNG_SECONDS = 5.0
# A watcher that has gone, or a lost word of a new one, is looked for more often than when nobody watches.
WATCHED_SECONDS = 60.0
UNWATCHED_SECONDS = 510.0
LINGER_SECONDS = 600.0


class Membership:
    """The broadcast's queues as this process knows them. Thread-safe; only `refresh` asks SQS."""

    def __init__(self, clients: SqsClients, prefix: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.prefix = prefix
        self._clients = clients
        self._clock = clock
        self._lock = threading.Lock()
        self._listing = threading.Lock()
        self._urls: dict[str, str] = {}
        self._by_kind: Mapping[QueueKind, Mapping[str, str]] = {kind: {} for kind in QueueKind}
        self._announced: dict[str, float] = {}  # names that others, or we, have told of, and when
        self._gone: dict[str, float] = {}  # names that SQS, or their owner, has said to be gone, and when
        self._base = ""
        self._listed_at = -math.inf
        self._watched_at = -math.inf
        self._failed_at = -math.inf
        self._failure: SqsError | None = None
        self.on_change: list[Callable[[], None]] = []

    @property
    def listed(self) -> bool:
        """Whether SQS has been asked at all."""
        return self._listed_at > -math.inf

    @property
    def age_seconds(self) -> float:
        """Since the last list."""
        return self._clock() - self._listed_at

    @property
    def watched(self) -> bool:
        """Whether anybody wants events."""
        return bool(self.of(QueueKind.EVENTS))

    def due(self) -> bool:
        """Whether the list is too old to rely upon."""
        recently = self._clock() - self._watched_at < LINGER_SECONDS
        return self.age_seconds > (WATCHED_SECONDS if recently or self.watched else UNWATCHED_SECONDS)

    def of(self, kind: QueueKind) -> Mapping[str, str]:
        """URLs of the queues of a kind, by name; costs nothing, as it is asked for each event."""
        return self._by_kind[kind]

    def names(self) -> list[str]:
        """All names."""
        with self._lock:
            return list(self._urls)

    def url(self, name: str) -> str | None:
        """The URL of a queue of this broadcast, whether it is listed or not; None before any is known."""
        with self._lock:
            return self._urls.get(name) or (self._base + name if self._base else None)

    def add(self, name: str, url: str = "") -> None:
        """A queue is there; `url` may be left out once any is known. Other names are ignored."""
        if queue_kind_of(self.prefix, name) is None:
            return
        with self._lock:
            if url:
                self._base = url.rpartition("/")[0] + "/"
            known = url or (self._base + name if self._base else "")
            if not known or name in self._gone:
                return
            new = name not in self._urls
            self._urls[name] = known
            self._announced[name] = self._clock()
        if new:
            self._changed()

    def young(self, name: str) -> bool:
        """Whether a queue was told of so lately that SQS may not know it everywhere."""
        with self._lock:
            at = self._announced.get(name)
        return at is not None and self._clock() - at < YOUNG_SECONDS

    def remove(self, name: str) -> None:
        """A queue is gone."""
        with self._lock:
            self._gone[name] = self._clock()
            self._announced.pop(name, None)
            gone = self._urls.pop(name, None)
        if gone is not None:
            self._changed()

    def refresh(self, older_than_seconds: float = 0.0) -> None:
        """Ask SQS, unless the list is as young.

        Blocks; raises errors of `celery_inference.sqs.errors`. Of threads that ask at the same time one does, for all
        of them.
        """
        waiting_since = self._clock()
        with self._listing:
            if self.listed and self.age_seconds < older_than_seconds:
                return
            if self._failed_at > waiting_since and self._failure is not None:
                raise self._failure
            started = self._clock()
            try:
                urls = self._list()
            except SqsError as exc:
                self._failed_at, self._failure = self._clock(), exc
                raise
            with self._lock:
                self._announced = {name: at for name, at in self._announced.items() if started - at < TRUSTED_SECONDS}
                self._gone = {name: at for name, at in self._gone.items() if started - at < TRUSTED_SECONDS}
                kept = {name: self._urls[name] for name in self._announced if name in self._urls}
                self._urls = {name: url for name, url in urls.items() if name not in self._gone} | kept
                if urls:
                    self._base = next(iter(urls.values())).rpartition("/")[0] + "/"
                self._listed_at = started
        self._changed()

    def _list(self) -> dict[str, str]:
        found: dict[str, str] = {}
        parameters: dict[str, Any] = {"QueueNamePrefix": f"{self.prefix}-", "MaxResults": PAGE}
        while True:
            answer = self._clients.call(
                "ListQueues", f"{self.prefix}-*", self._clients.brief_client.list_queues, **parameters
            )
            for url in answer.get("QueueUrls", []):
                name = url.rpartition("/")[2]
                if queue_kind_of(self.prefix, name) is not None:
                    found[name] = url
            if not answer.get("NextToken"):
                return found
            parameters["NextToken"] = answer["NextToken"]

    def _changed(self) -> None:
        with self._lock:
            by_kind: dict[QueueKind, dict[str, str]] = {kind: {} for kind in QueueKind}
            for name, url in self._urls.items():
                kind = queue_kind_of(self.prefix, name)
                if kind is not None:
                    by_kind[kind][name] = url
            self._by_kind = by_kind
        if self.watched:
            self._watched_at = self._clock()
        for tell in list(self.on_change):
            tell()
