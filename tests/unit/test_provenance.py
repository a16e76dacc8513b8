"""What a result was made with stands beside it in the store, and cannot be put there by a message."""

from pathlib import Path
from typing import Any

import pytest
from celery.app.task import Context
from celery.result import AsyncResult

from celery_inference.client.app import Application
from celery_inference.client.async_results.provenance import provenance, record_provenance

FACTS = {"model": "one", "revision": "0123", "dtype": "float32", "versions": {"torch": "2"}}


@pytest.fixture(params=["sqlite:///{}/results.sqlite", "file://{}", "cache+memory://"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Application:
    app = Application("made-with-test")
    app.loader.override_backends = {"sqlite": "celery_inference.results.sqlite.backend:SQLiteBackend"}
    app.conf.update(result_backend=request.param.format(tmp_path), result_serializer="json", accept_content=["json"])
    return app


def stored(app: Application, request: Context, state: str, result: Any) -> AsyncResult:
    app.backend.store_result(request.id, result, state, request=request)
    return app.AsyncResult(request.id)


@pytest.mark.parametrize(
    ("state", "result"), [("SUCCESS", [0.5]), ("FAILURE", ValueError("bad")), ("RETRY", OSError())]
)
def test_it_is_read_from_the_result_and_is_no_part_of_its_value(app: Application, state: str, result: Any) -> None:
    request = Context({"id": f"one-{state}"})
    record_provenance(request, FACTS)
    read = stored(app, request, state, result)
    assert provenance(read) == FACTS
    if state == "SUCCESS":
        assert read.get(timeout=5) == result


def test_a_result_without_is_none(app: Application) -> None:
    assert provenance(stored(app, Context({"id": "plain"}), "SUCCESS", 1)) is None
    assert provenance(app.AsyncResult("unknown")) is None


def test_a_header_of_that_name_is_not_believed(app: Application) -> None:
    assert provenance(stored(app, Context({"id": "forged", "inference": FACTS}), "SUCCESS", 1)) is None
