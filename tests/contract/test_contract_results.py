"""What Celery's callers get from every store: the first final state, whoever else writes at the same time."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from celery.exceptions import TimeoutError as CeleryTimeoutError

from tests.support.stores import Make, backend, make, moto, redis_server

__all__ = ["backend", "make", "moto", "redis_server"]


def test_a_result_is_read_back_and_an_unknown_task_is_pending(backend: Any) -> None:
    backend.store_result("a", [0.25, "é"], "SUCCESS")
    assert backend.get_result("a") == [0.25, "é"]
    assert backend.get_state("b") == "PENDING"


@pytest.mark.parametrize("first", ["SUCCESS", "FAILURE", "REVOKED"])
@pytest.mark.parametrize("second", ["SUCCESS", "FAILURE", "RETRY", "STARTED"])
def test_the_first_final_state_stays(backend: Any, first: str, second: str) -> None:
    backend.store_result("a", 1 if first == "SUCCESS" else ValueError("first"), first)
    backend.store_result("a", 2 if second in ("SUCCESS", "STARTED") else ValueError("second"), second)
    backend._cache.clear()
    assert backend.get_state("a") == first


def test_retries_are_replaced_by_what_follows(backend: Any) -> None:
    backend.store_result("a", ValueError("busy"), "RETRY")
    backend.store_result("a", ValueError("still"), "RETRY")
    backend.store_result("a", 7, "SUCCESS")
    assert backend.get_result("a") == 7


def test_of_many_threads_that_end_one_task_exactly_one_is_kept(backend: Any) -> None:
    barrier = threading.Barrier(16)

    def end(number: int) -> None:
        barrier.wait()
        backend.store_result("contested", number, "SUCCESS")

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(end, range(16)))
    kept = backend.get_result("contested")
    backend.store_result("contested", 99, "SUCCESS")
    backend._cache.clear()
    assert backend.get_result("contested") == kept != 99


def test_expired_results_are_gone_and_may_be_stored_again(make: Make) -> None:
    make(expires=-1).store_result("a", 1, "SUCCESS")
    backend = make()
    assert backend.get_state("a") == "PENDING"
    backend.store_result("a", 2, "SUCCESS")
    assert backend.get_result("a") == 2


def test_waiting_ends_with_the_result_or_with_the_time(backend: Any) -> None:
    timer = threading.Timer(0.2, backend.store_result, ("a", 5, "SUCCESS"))
    timer.start()
    assert backend.wait_for("a", timeout=30)["result"] == 5
    with pytest.raises(CeleryTimeoutError):
        backend.wait_for("never", timeout=0.05)
    timer.join()


def test_groups_are_kept_and_forgotten(backend: Any) -> None:
    app = backend.app
    app._backend_cache = backend
    backend.save_group("g", app.GroupResult("g", [app.AsyncResult("a")]))
    assert backend.restore_group("g", cache=False).id == "g"
    backend.delete_group("g")
    assert backend.restore_group("g", cache=False) is None


def test_a_forgotten_result_is_pending(backend: Any) -> None:
    backend.store_result("a", 1, "SUCCESS")
    backend.forget("a")
    assert backend.get_state("a") == "PENDING"


def test_several_results_are_read_at_once(backend: Any) -> None:
    ids = [f"t{number}" for number in range(120)]
    for task_id in ids[:5]:
        backend.store_result(task_id, task_id, "SUCCESS")
    values = list(backend.mget([backend.get_key_for_task(task_id) for task_id in ids]))
    assert [json.loads(value)["result"] for value in values if value] == ids[:5]
    assert len(values) == 120
