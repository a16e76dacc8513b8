"""What Flower's API is asked wrongly is 400 with the reason, and what is away 503."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tornado.web import HTTPError

from celery_inference import feature_extraction
from celery_inference.errors import StoreUnavailable
from monitor.app.executor import HonestRunner


def status_and_reason(operation: str, func: Any, **kwargs: Any) -> tuple[int, str]:
    async def run() -> Any:
        with ThreadPoolExecutor(1) as executor:
            return await HonestRunner(executor).run(operation, "target", func, **kwargs)

    with pytest.raises(HTTPError) as caught:
        asyncio.run(run())
    return caught.value.status_code, caught.value.get_message()


@pytest.mark.parametrize(
    ("args", "kwargs", "options", "reason"),
    [
        ([""], {}, {}, "inputs is an empty text"),
        (["cat"], {"modle": "%s"}, {}, 'option "modle" is not known. Did you mean "model"?'),
        ([], {}, {}, "missing a required argument: 'inputs'"),
        (["cat"], {}, {"priorty": 5}, "priorty"),
    ],
)
def test_a_request_that_is_refused_before_it_is_sent_is_400_with_the_reason(
    args: list[Any], kwargs: dict[str, Any], options: dict[str, Any], reason: str
) -> None:
    status, told = status_and_reason(
        "task.publish", feature_extraction.apply_async, args=args, kwargs=kwargs, **options
    )
    assert status == 400
    assert reason in told


@pytest.mark.parametrize(
    ("error", "status"), [(StoreUnavailable("it is away"), 503), (OSError(5, "away"), 503), (KeyError("own"), 500)]
)
def test_what_is_away_and_what_is_nobodys_fault_are_told_apart(error: Exception, status: int) -> None:
    def fail() -> None:
        raise error

    assert status_and_reason("task.result_state", fail)[0] == status


def test_a_fault_of_ours_is_no_fault_of_who_asks() -> None:
    def fail() -> None:
        raise TypeError("own")

    assert status_and_reason("task.result_state", fail)[0] == 500
