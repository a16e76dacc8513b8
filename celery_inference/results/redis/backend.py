"""Celery's result backend in Redis or Valkey, for one network; takes the place of Celery's own for `redis://`."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from celery.exceptions import ImproperlyConfigured
from kombu.utils.url import maybe_sanitize_url

from celery_inference.results.backend import StoreBackend
from celery_inference.results.store.states import place_of

try:
    from celery_inference.results.redis.table import RedisTable
except ImportError as missing:
    raise ImproperlyConfigured(
        "results in Redis need redis-py, which is not installed: pip install 'celery-inference[redis]'"
    ) from missing


class RedisBackend(StoreBackend):
    """Celery's result backend for `redis://` and `rediss://` (TLS). All methods may be called from any thread."""

    table: RedisTable

    # A result is pushed. These looks are for a message that was lost with its connection.
    poll_seconds = (1.0, 1.5, 5.0)

    def make_table(self, url: str) -> RedisTable:
        """See StoreBackend."""
        try:
            return RedisTable(url, str(maybe_sanitize_url(url)))
        except ValueError as error:
            raise ImproperlyConfigured(f"the result backend's URL cannot be read: {error}") from None

    def as_uri(self, include_password: bool = True) -> str:
        """The URL of this store, without its password."""
        return self.table.shown

    def waiting(self, task_id: str) -> AbstractContextManager[Callable[[float], None]]:
        """See StoreBackend."""
        return self.table.watching(place_of(self.get_key_for_task(task_id))[0])
