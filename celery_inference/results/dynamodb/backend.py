"""Celery's result backend in one DynamoDB table, for a fleet; takes the place of Celery's own for `dynamodb://`."""

from typing import Any

from celery.states import EXCEPTION_STATES

from celery_inference.results.backend import StoreBackend
from celery_inference.results.dynamodb.table import DynamoDBTable
from celery_inference.results.dynamodb.url import TableUrl
from celery_inference.results.store.values import ResultTooLarge


class DynamoDBBackend(StoreBackend):
    """Celery's result backend for `dynamodb://REGION/TABLE`. All methods may be called from any thread.

    Raises ImproperlyConfigured for a URL that names no table.
    """

    table: DynamoDBTable

    # Each look costs half a read unit for each 4 KiB. A result is seen within half of the time that it took, and within
    # a second.
    poll_seconds = (0.02, 1.5, 1.0)

    def make_table(self, url: str) -> DynamoDBTable:
        """See StoreBackend."""
        return DynamoDBTable(TableUrl.of(url, self.app.conf.get("dynamodb_endpoint_url")))

    def as_uri(self, include_password: bool = True) -> str:
        """The URL of this store, without credentials."""
        return str(self.table.place)

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
