"""Celery's result backend in one SQLite file: for one machine, safe to share between its processes.

Celery's database backend makes a new engine for each call and unpickles what it cannot decode; this one keeps a
connection a thread, commits the stores of many threads together, and holds JSON alone.
"""

from pathlib import Path

from celery_inference.results.backend import StoreBackend
from celery_inference.results.sqlite.table import SQLiteTable


class SQLiteBackend(StoreBackend):
    """Celery's result backend for `sqlite:///FILE`. All methods may be called from any thread."""

    # A look is one read of a local file, so Celery's half second would only add to the latency.
    poll_seconds = (0.005, 1.2, 0.1)

    def make_table(self, url: str) -> SQLiteTable:
        """See StoreBackend."""
        table = SQLiteTable(Path(url.removeprefix("sqlite:///")))
        self.database = table.database
        return table

    def as_uri(self, include_password: bool = True) -> str:
        """The URL of this store; it has no password."""
        return f"sqlite:///{self.database.path}"
