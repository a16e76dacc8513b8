"""With what a result was made: stored beside it, and not in what `get()` returns.

provenance(feature_extraction.delay("…"))
{"model": "…", "source": "…", "revision": "…", "dtype": "float32", "versions": {"torch": "…", …}}
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from celery.result import AsyncResult

if TYPE_CHECKING:
    from celery.backends.base import Backend

KEY = "inference"  # of a result's entry in the store


class _Provenance(dict[str, Any]):
    """What `record_provenance` left on a request. A type of its own, because messages can carry any header of any
    name."""


def record_provenance(request: Any, facts: Mapping[str, Any]) -> None:
    """Remember it on the running request, for when its outcome is stored, whatever that will be."""
    request.inference = _Provenance(facts)


def noted(request: Any) -> dict[str, Any] | None:
    """What `record_provenance` left on the request, if it did."""
    facts = getattr(request, KEY, None)
    return dict(facts) if isinstance(facts, _Provenance) else None


def keeping(backend: "Backend") -> "Backend":
    """The backend, made to store what was noted on a request in its entry.

    Backends with columns of their own (SQLAlchemy, MongoDB, Cassandra) leave it out; all others of Celery store
    entries as JSON and keep it.
    """
    entry_of = backend._get_result_meta

    def with_facts(*args: Any, **kwargs: Any) -> dict[str, Any]:
        entry: dict[str, Any] = entry_of(*args, **kwargs)
        facts = noted(kwargs.get("request"))
        return entry if facts is None else {**entry, KEY: facts}

    backend._get_result_meta = with_facts
    return backend


def provenance(result: AsyncResult) -> dict[str, Any] | None:
    """Model, source, revision, dtype and versions of the libraries that made a result, or failed to.

    None as long as there is no outcome, and where a request ended before a model was asked. Asks the result store.
    """
    entry: dict[str, Any] = result.backend.get_task_meta(result.id)
    facts = entry.get(KEY)
    return facts if isinstance(facts, dict) else None
