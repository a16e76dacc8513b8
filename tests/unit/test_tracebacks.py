"""The patch of billiard's tracebacks, and that it still is what it was made for."""

import logging
import tracemalloc
from importlib.metadata import version

import pytest
from billiard import einfo
from celery.app.trace import build_tracer
from celery.exceptions import Reject

from celery_inference import app
from tasks.patches.billiard_tracebacks import share_code


def test_the_version_is_the_one_that_the_patch_was_made_for() -> None:
    assert version("billiard").startswith("4.3.")
    assert callable(einfo._Frame.Code)
    assert einfo._Frame.Code(share_code.__code__).co_name == "share_code"


def fails() -> einfo.ExceptionInfo:
    try:
        raise ValueError("as every test of it does")
    except ValueError:
        return einfo.ExceptionInfo()


def test_two_failures_share_the_code_of_their_functions() -> None:
    share_code()
    first, second = fails(), fails()
    assert first.tb.tb_frame.f_code is second.tb.tb_frame.f_code
    assert first.tb.tb_frame is not second.tb.tb_frame
    assert 'raise ValueError("as every test of it does")' in first.traceback


def test_a_thousand_failed_tasks_hold_no_more_than_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("celery"), "propagate", False)  # pytest would keep each text that is logged
    share_code()

    @app.task(name="tests.fails", base=app.Task)
    def failing() -> None:
        raise Reject("on purpose", requeue=False)

    tracer = build_tracer("tests.fails", failing, app=app)
    requests = [{"id": str(number), "hostname": "x", "is_eager": False} for number in range(210)]
    for request in requests[:10]:
        tracer(request["id"], (), {}, request)
    tracemalloc.start()
    try:
        for request in requests[10:]:
            tracer(request["id"], (), {}, request)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 2_000_000
