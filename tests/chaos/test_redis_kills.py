"""The store in Redis while Redis is killed and started again: nothing that it took is lost, and who waits is told."""

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from celery.result import AsyncResult

from celery_inference.results.protocol import Attempts, Start, StoreUnavailable
from celery_inference.results.redis.backend import RedisBackend
from tasks.worker.startup.result_store import check_result_store
from tests.support.redis_server import RedisServer, running_redis
from tests.support.stores import app_of

HANG_SECONDS = 120.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as server:
        yield server


def backend_of(server: RedisServer) -> Any:
    app = app_of("redis-kills")
    app.conf.result_backend_always_retry = False
    return RedisBackend(app=app, url=server.url)


def test_what_was_stored_survives_kill_9_of_redis_again_and_again(server: RedisServer) -> None:
    backend, ended = backend_of(server), threading.Event()
    stored: dict[str, int] = {}
    begun: set[str] = set()

    def store(writer: int) -> None:
        number = 0
        while not ended.is_set():
            task_id = f"{writer}-{number}"
            try:
                backend.store.begin_attempts([Start(f"open-{task_id}", 0, "m.1", "host")])
                begun.add(f"open-{task_id}")
                backend.store_result(task_id, number, "SUCCESS")
                stored[task_id] = number
                number += 1
            except StoreUnavailable:
                ended.wait(0.02)

    def reach(count: int) -> None:
        until = threading.Event()
        for _ in range(int(HANG_SECONDS / 0.02)):
            if len(stored) >= count:
                return
            until.wait(0.02)
        raise AssertionError(f"only {len(stored)} of {count} were stored")

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(store, writer) for writer in range(4)]
        try:
            for _ in range(3):
                reach(len(stored) + 50)
                server.kill()
                server.start()
            reach(len(stored) + 50)
        finally:
            ended.set()
        for writer in writers:
            writer.result(HANG_SECONDS)
    server.kill()
    server.start()
    backend = backend_of(server)
    found = {task_id: backend.get_result(task_id) for task_id in stored}
    assert found == stored
    attempts = backend.store.attempts([(task_id, 0) for task_id in begun])
    assert {task_id for task_id, _ in attempts} == begun
    assert set(attempts.values()) == {Attempts(1, ("host",))}


def test_a_result_is_pushed_to_who_waits(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    # No second look in the time of this test: what is waited for can only have been pushed.
    monkeypatch.setattr(RedisBackend, "poll_seconds", (10 * HANG_SECONDS, 1.0, 10 * HANG_SECONDS))
    waiter, worker = backend_of(server), backend_of(server)
    with ThreadPoolExecutor(8) as pool:
        results = [pool.submit(AsyncResult(f"task-{n}", backend=waiter).get, HANG_SECONDS) for n in range(8)]
        while len(server.client().pubsub_channels()) < 8:
            threading.Event().wait(0.02)
        for n in range(8):
            worker.store_result(f"task-{n}", n, "SUCCESS")
        assert [result.result(HANG_SECONDS) for result in results] == list(range(8))
    assert server.client().pubsub_channels() == []


def test_who_waits_while_redis_is_killed_is_told_when_it_is_back(server: RedisServer) -> None:
    waiter, worker = backend_of(server), backend_of(server)
    ready = threading.Event()

    def wait() -> Any:
        while True:
            try:
                return waiter.wait_for("task", HANG_SECONDS, on_interval=ready.set)["result"]
            except StoreUnavailable:
                threading.Event().wait(0.05)

    with ThreadPoolExecutor(1) as pool:
        waited = pool.submit(wait)
        assert ready.wait(HANG_SECONDS)
        server.kill()
        server.start()
        worker.store_result("task", "there", "SUCCESS")
        assert waited.result(HANG_SECONDS) == "there"


def test_a_redis_that_is_full_or_away_is_one_error_and_loses_nothing(server: RedisServer) -> None:
    backend = backend_of(server)
    backend.store_result("before", 1, "SUCCESS")
    server.client().config_set("maxmemory", "1mb")
    with pytest.raises(StoreUnavailable, match="used memory > 'maxmemory'"):
        backend.store_result("full", "x" * 1_000, "SUCCESS")
    server.client().config_set("maxmemory", "0")
    backend.store_result("full", 2, "SUCCESS")
    server.kill()
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1"):
        backend.store_result("away", 3, "SUCCESS")
    server.start()
    backend.store_result("away", 3, "SUCCESS")
    backend._cache.clear()
    assert [backend.get_result(name) for name in ("before", "full", "away")] == [1, 2, 3]


def test_a_worker_names_what_promises_less(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    weak = {"appendonly": "no", "appendfsync": "everysec", "maxmemory_policy": "allkeys-lru"}
    for folder, settings in (("weak", weak), ("safe", {})):
        (tmp_path / folder).mkdir()
        with running_redis(tmp_path / folder, **settings) as server, caplog.at_level(logging.WARNING):
            caplog.clear()
            app = app_of("names")
            app.conf.result_backend = server.url
            app.loader.override_backends = {"redis": "celery_inference.results.redis.backend:RedisBackend"}
            check_result_store(app)
            said = [record.getMessage() for record in caplog.records]
        if folder == "safe":
            assert said == []
        else:
            assert ["appendonly is no, not yes" in said[0], len(said)] == [True, 3]
            assert "appendfsync is everysec, not always" in said[1]
            assert "maxmemory-policy is allkeys-lru, not noeviction" in said[2]
