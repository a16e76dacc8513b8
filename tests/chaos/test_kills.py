"""kill -9 of whatever works on requests, and then an account of every one of them."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery.result import AsyncResult

from celery_inference import feature_extraction
from celery_inference.sqs.api.client_factory import make_client
from celery_inference.sqs.queues.depths import read_depths
from demo.processes import Process
from demo.stack import Stack
from tests.support.client import client_of
from tests.support.device_processes import device_processes
from tests.support.lanes import INFERENCE

SECONDS = 120
LEASE_SECONDS = 5
REQUESTS = 160
LONG = "so long a text that a batch of them takes its time, " * 12


@pytest.fixture
def stack(tmp_path: Path, catalogue_of_one: Path) -> Iterator[Stack]:
    settings = {"CELERY_INFERENCE_LEASE_SECONDS": str(LEASE_SECONDS)}
    with Stack(tmp_path / "stack", catalogue=catalogue_of_one, **settings) as stack, client_of(stack):
        stack.start_server()
        yield stack


def send(count: int) -> list[AsyncResult]:
    return [feature_extraction.delay(f"request number {number}, {LONG}") for number in range(count)]


def wait_for_some(results: list[AsyncResult], count: int) -> None:
    until = time.monotonic() + SECONDS
    done: set[str] = set()
    while len(done) < count:
        assert time.monotonic() < until, "the worker does nothing"
        done |= {result.id for result in results if result.id not in done and result.ready()}
        time.sleep(0.02)


def account(stack: Stack, results: list[AsyncResult]) -> None:
    """Each request has succeeded, and nothing is left on the lane or in its dead-letter queue."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and not all(result.ready() for result in results):
        time.sleep(0.1)
    assert Counter(result.state for result in results) == {"SUCCESS": len(results)}
    client = make_client(endpoint_url=stack.endpoint, region="us-east-1", access_key="local", secret_key="local")
    while time.monotonic() < until:
        queue, dead_letters = read_depths(client, [INFERENCE])
        if queue.total == 0:
            break
        time.sleep(0.2)
    assert (queue.total, dead_letters.total) == (0, 0)


def loads(worker: Process) -> int:
    return worker.text().count("loaded fragile")


def test_a_worker_killed_in_mid_work_loses_and_doubles_nothing(stack: Stack) -> None:
    worker = stack.start_worker("first")
    children = device_processes(worker)
    results = send(REQUESTS)
    wait_for_some(results, 20)
    worker.kill()
    assert not all(result.ready() for result in results), "it was killed too late to show anything"
    until = time.monotonic() + 10
    while any(Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children):
        assert time.monotonic() < until, "a device process outlived its worker"
        time.sleep(0.05)
    stack.start_worker("second")
    account(stack, results)


def test_a_device_process_killed_in_mid_work_costs_its_requests_no_delivery(stack: Stack) -> None:
    worker = stack.start_worker()
    assert loads(worker) == 1
    results = send(REQUESTS)
    for done in (20, 100):
        wait_for_some(results, done)
        (device_process,) = device_processes(worker)
        os.kill(device_process, signal.SIGKILL)
        until = time.monotonic() + SECONDS
        while device_processes(worker) in ([], [device_process]):
            assert time.monotonic() < until, "no new device process came"
            time.sleep(0.05)
    account(stack, results)
    assert worker.running
    assert loads(worker) == 3, "once in each device process, over many requests and two restarts"


def test_a_worker_told_to_stop_gives_back_what_it_has_not_started(stack: Stack) -> None:
    worker = stack.start_worker("first")
    results = send(REQUESTS)
    wait_for_some(results, 20)
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.wait(60) == 0
    assert not device_processes(worker)
    stack.start_worker("second")
    account(stack, results)


def test_a_server_killed_in_mid_work_comes_back_with_everything(stack: Stack) -> None:
    results = send(REQUESTS // 2)
    worker = stack.start_worker()
    wait_for_some(results, 20)
    stack.server.kill()
    stack.start_server()
    results += send(REQUESTS // 2)
    account(stack, results)
    assert worker.running
