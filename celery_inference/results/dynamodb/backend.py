"""Celery's result backend in one DynamoDB table, for a fleet; takes the place of Celery's own for `dynamodb://`."""

import time
from collections.abc import Iterable, Iterator
from typing import Any

from celery.states import EXCEPTION_STATES, PENDING

from celery_inference.results.backend import StoreBackend
from celery_inference.results.dynamodb.dead_letter_index import DynamoDBDeadLetterIndex
from celery_inference.results.dynamodb.store import DynamoDBStore
from celery_inference.results.dynamodb.table import DynamoDBTable
from celery_inference.results.dynamodb.url import TableUrl
from celery_inference.results.dynamodb.values import ResultTooLarge
from celery_inference.results.rules import NewState


class DynamoDBBackend(StoreBackend):
    """Celery's result backend for `dynamodb://REGION/TABLE`. All methods may be called from any thread.

    Raises ImproperlyConfigured for a URL that names no table.
    """

    # Each look costs half a read unit for each 4 KiB. A result is seen within half of the time that it took, and within
    # a second.
    poll_seconds = (0.02, 1.5, 1.0)

    def __init__(self, url: str | None = None, **kwargs: Any) -> None:
        super().__init__(url=url, **kwargs)
        self.table = DynamoDBTable(TableUrl.of(url or "", self.app.conf.get("dynamodb_endpoint_url")))
        store = DynamoDBStore(self.table, key_of=self.get_key_for_task, pending_of=self.pending_of)
        self.store, self.dead_letters, self._states = store, DynamoDBDeadLetterIndex(store), store.states

    def as_uri(self, include_password: bool = True) -> str:
        """The URL of this store, without credentials."""
        return str(self.table.place)

    def check(self) -> list[str]:
        """What the table lacks; each is a part of a sentence. Raises StoreUnavailable."""
        return self.table.differences()

    def get(self, key: bytes) -> bytes | None:
        """The stored value, or None."""
        return next(iter(self.mget([key])), None)

    def mget(self, keys: Iterable[bytes]) -> Iterator[bytes | None]:
        """The stored value of each key, or None, in the keys' order."""
        wanted = list(keys)
        found = self._states.read(wanted, time.time())
        return iter([found.get(key) for key in wanted])

    def set(self, key: bytes, value: bytes | str) -> None:
        """Store a value that later ones may replace."""
        self._states.put(key, value.encode() if isinstance(value, str) else value, self._expires_at())

    def delete(self, key: bytes) -> None:
        """Forget a value."""
        self._states.delete(key)

    def put_state(self, task_id: str, state: NewState) -> None:
        """See StoreBackend."""
        self._states.store(state)

    def _store_result(
        self, task_id: str, result: Any, state: str, traceback: Any = None, request: Any = None, **options: Any
    ) -> Any:
        try:
            return super()._store_result(task_id, result, state, traceback, request, **options)
        except ResultTooLarge:
            # An error whose text or traceback is that large: that there was one must be told. Celery has encoded it.
            if state not in EXCEPTION_STATES or not isinstance(result, dict):
                raise
            short = self.encode_result(ResultTooLarge.in_place_of(result), state)
            return super()._store_result(task_id, short, state, None, request, **options)

    def glance(self, task_id: str) -> dict[str, Any]:
        """See StoreBackend. At half the price."""
        try:
            return dict(self._cache[task_id])
        except KeyError:
            key = self.get_key_for_task(task_id)
        found = self._states.read([key], time.time(), lagging=True).get(key)
        meta: dict[str, Any] = self.decode_result(found) if found else {"status": PENDING, "result": None}
        return meta
