"""Test your code without a server and without a model: `pytest examples/applications/test_without_a_server.py`.

Inputs are checked as ever. What would be sent is answered here.
"""

from typing import Any
from uuid import uuid4

import pytest

from celery_inference import app, configure, feature_extraction
from celery_inference.errors import DeviceLost, InvalidInput

configure(results="cache+memory://")


def likeness(one: str, other: str) -> float:
    """The application's code: how much two texts mean the same."""
    first, second = feature_extraction.delay([one, other]).get(timeout=30)
    return sum(a * b for a, b in zip(first, second, strict=True))


def answer_with(monkeypatch: pytest.MonkeyPatch, outcome: Any, state: str = "SUCCESS") -> None:
    """From now on every request ends so."""

    def send_task(*_: Any, **__: Any) -> Any:
        request_id = str(uuid4())
        app.backend.store_result(request_id, outcome, state)
        return app.AsyncResult(request_id)

    monkeypatch.setattr(app, "send_task", send_task)


def test_texts_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    answer_with(monkeypatch, [[1.0, 0.0], [0.6, 0.8]])
    assert likeness("a text", "another") == 0.6


def test_what_a_model_cannot_take_is_not_sent() -> None:
    with pytest.raises(InvalidInput, match=r"inputs\[1\] is an empty text"):
        likeness("a text", "")


def test_a_failure_reaches_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    answer_with(monkeypatch, DeviceLost("the GPU fell off the bus"), "FAILURE")
    with pytest.raises(DeviceLost):
        likeness("a text", "another")
