"""Flower, a worker and a client on the embedded server: workers and tasks live, revokes that last, honest faults."""

import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery.exceptions import TaskRevokedError
from celery.result import AsyncResult

from celery_inference import feature_extraction
from celery_inference.client.app import app
from celery_inference.sqs.api.client_factory import make_client
from demo.__main__ import write_catalogue
from demo.processes import free_port
from demo.stack import Stack
from tests.support.client import client_of

SECONDS = 90


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Server and Flower; no worker yet."""
    folder = tmp_path_factory.mktemp("live")
    text = write_catalogue(folder).read_text(encoding="utf-8")
    catalogue = folder / "one.toml"
    catalogue.write_text(text[text.index("[fragile]") :], encoding="utf-8")
    with Stack(folder, catalogue=catalogue, FLOWER_UNAUTHENTICATED_API="true") as stack, client_of(stack):
        stack.start_server()
        stack.flower = stack.start_flower()  # type: ignore[attr-defined]
        yield stack


def get(stack: Stack, path: str, data: bytes | None = None) -> str:
    request = urllib.request.Request(stack.flower_url + path, data=data)
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return str(answer.read().decode())


def workers(stack: Stack) -> dict[str, dict[str, Any]]:
    return {row["hostname"]: row for row in json.loads(get(stack, "/workers?json=1"))["data"]}


def until(true: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            answer = true()
        except urllib.error.HTTPError:
            answer = None
        if answer:
            return answer
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def state_of(stack: Stack, task_id: str) -> str:
    return str(json.loads(get(stack, f"/api/task/info/{task_id}"))["state"])


def sizes_of(metrics: str) -> dict[str, float]:
    """Bytes, of the one model and the one device process."""
    return {
        line.split("{")[0]: float(line.rpartition(" ")[2])
        for line in metrics.splitlines()
        if line.startswith(("celery_inference_device_memory_bytes{", "celery_inference_model_memory_bytes{"))
        and 'kind="device"' not in line
    }


def own_queues(stack: Stack) -> list[str]:
    client = make_client(endpoint_url=stack.endpoint, region="us-east-1", access_key="local", secret_key="local")
    urls = client.list_queues(QueueNamePrefix="celery-broadcast-").get("QueueUrls", [])
    return [url.rpartition("/")[2] for url in urls]


def test_a_request_revoked_while_no_worker_lives_is_refused_by_one_that_starts_later(stack: Stack) -> None:
    revoked, kept = feature_extraction.delay("revoked"), feature_extraction.delay("kept")
    revoked.revoke()
    stack.health = f"http://127.0.0.1:{free_port()}"  # type: ignore[attr-defined]
    port = stack.health.rpartition(":")[2]  # type: ignore[attr-defined]
    stack.worker = stack.start_worker("worker", "--health-port", port)  # type: ignore[attr-defined]
    assert len(kept.get(timeout=SECONDS)) == 384
    with pytest.raises(TaskRevokedError):
        revoked.get(timeout=SECONDS)
    assert AsyncResult(revoked.id, app=app).state == "REVOKED"
    (name,) = until(lambda: workers(stack), "Flower sees the worker that started after it")
    assert workers(stack)[name]["status"] is True


def test_tasks_and_a_failure_appear_and_a_worker_tells_of_itself(stack: Stack) -> None:
    good = feature_extraction.delay("good")
    crash = feature_extraction.delay("please divide by zero", model="fragile")
    assert good.get(timeout=SECONDS)
    until(lambda: state_of(stack, good.id) == "SUCCESS", "the success is shown")
    until(lambda: state_of(stack, crash.id) == "FAILURE", "and the failure")
    info = json.loads(get(stack, f"/api/task/info/{good.id}"))
    assert "good" not in json.dumps([info["args"], info["kwargs"], info["result"]]), "inputs stay out of events"
    (name,) = workers(stack)
    page = until(lambda: get(stack, f"/worker/{name}"), "the worker's page")
    assert "celery_inference.feature_extraction" in page
    until(lambda: 'flower_worker_online{worker="' in get(stack, "/metrics"), "its heartbeat is counted")


def test_models_and_devices_are_shown_with_their_figures(stack: Stack) -> None:
    (name,) = workers(stack)
    app.control.broadcast("heartbeat")
    series = f'celery_inference_inputs_total{{model="fragile",worker="{name}"}}'
    until(lambda: series in get(stack, "/metrics"), "the worker tells of its model")
    page = get(stack, "/inference")
    assert 'data-model="fragile"' in page
    assert ">cpu" in page
    scraped = get(stack, "/metrics")
    assert 'celery_inference_queue_waits_total{model="fragile"' in scraped
    assert "celery_inference_device_restarts_total{" in scraped

    def told() -> bool:
        # The test before has ended a device process: until its successor is there, its size is rightly 0.
        app.control.broadcast("heartbeat")
        sizes = sizes_of(get(stack, "/metrics"))
        # MiniLM has 22.7 million weights.
        return (
            min(
                sizes.get("celery_inference_model_memory_bytes", 0),
                sizes.get("celery_inference_device_memory_bytes", 0),
            )
            > 10e6
        )

    until(told, "what model and device process have in memory")


def test_a_worker_tells_orchestrators_of_itself(stack: Stack) -> None:
    def told(path: str) -> str:
        with urllib.request.urlopen(stack.health + path, timeout=SECONDS) as answer:  # type: ignore[attr-defined]
            return str(answer.read().decode())

    assert told("/live") == "live\n"
    # The failure before may have cost it its only device process for a moment.
    until(lambda: told("/ready") == "ready\n", "the worker is not ready")
    assert 'celery_inference_inputs_total{model="fragile"}' in told("/metrics")
    assert 'celery_inference_queue_waits_total{model="fragile"}' in told("/metrics")


def test_flower_commands_a_worker(stack: Stack) -> None:
    (name,) = workers(stack)

    def command(path: str) -> str:
        # Flower waits one second for a worker's answer, and says 403 or 500 to one that comes later.
        return str(until(lambda: get(stack, f"/api/worker/queue/{path}/{name}?queue=inference-bulk", data=b""), path))

    assert "no longer consuming" in command("cancel-consumer")
    assert "add consumer" in command("add-consumer")
    assert "Revoked" in get(stack, "/api/task/revoke/no-such-task?terminate=true", data=b"")
    said = app.control.revoke("no-such-task", terminate=True, reply=True, timeout=30)
    assert "to terminate is to cancel" in said[0][name]["ok"]


def test_a_flower_that_restarts_shows_the_workers_of_now(stack: Stack) -> None:
    (name,) = workers(stack)
    os.kill(stack.flower.pid, signal.SIGTERM)  # type: ignore[attr-defined]
    assert stack.flower.wait(SECONDS) == 0  # type: ignore[attr-defined]
    until(lambda: not [queue for queue in own_queues(stack) if "-events-" in queue], "it left no queue behind")
    stack.flower = stack.start_flower()  # type: ignore[attr-defined]
    until(lambda: workers(stack).get(name, {}).get("status"), "the worker is there again")
    assert until(lambda: get(stack, f"/worker/{name}"), "and answers")


def test_a_flower_that_hangs_or_dies_costs_the_worker_nothing(stack: Stack) -> None:
    os.kill(stack.flower.pid, signal.SIGSTOP)  # type: ignore[attr-defined]
    assert all(len(result.get(timeout=SECONDS)) == 384 for result in [feature_extraction.delay("x") for _ in range(20)])
    os.kill(stack.flower.pid, signal.SIGKILL)  # type: ignore[attr-defined]
    assert all(len(result.get(timeout=SECONDS)) == 384 for result in [feature_extraction.delay("y") for _ in range(20)])
    stack.flower = stack.start_flower()  # type: ignore[attr-defined]
    until(lambda: any(row["status"] for row in workers(stack).values()), "another one sees the worker")


def test_sqs_away_leaves_the_last_figures_on_the_pages(stack: Stack) -> None:
    (name,) = workers(stack)
    stack.server.kill()
    for path in ("/workers", "/tasks", "/workers?refresh=1", "/broker"):
        assert get(stack, path)
    assert name in workers(stack)
    told = until(
        lambda: (found := json.loads(get(stack, "/api/events/freshness")))["stale"] and found, "the fault is told"
    )
    assert "ReceiveMessage" in told["failure"]
    for path in ("/workers", "/tasks", "/inference"):
        assert "SQS cannot be read: what is shown is" in get(stack, path), path
    with pytest.raises(urllib.error.HTTPError, match="503"):
        get(stack, "/api/task/revoke/no-such-task", data=b"")
    stack.start_server()
    result = feature_extraction.delay("after")
    assert len(result.get(timeout=SECONDS)) == 384
    until(lambda: state_of(stack, result.id) == "SUCCESS", "events come again")
    assert not json.loads(get(stack, "/api/events/freshness"))["stale"]
    assert "SQS cannot be read" not in get(stack, "/workers")


def test_a_worker_shut_down_from_flower_ends_cleanly(stack: Stack) -> None:
    (name,) = workers(stack)
    assert get(stack, f"/api/worker/shutdown/{name}", data=b"")
    assert stack.worker.wait(SECONDS) == 0  # type: ignore[attr-defined]
    until(lambda: not [queue for queue in own_queues(stack) if "-control-" in queue], "its queue is deleted")
