"""What orchestrators ask a worker, answered over HTTP; the engine's stats are made up."""

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import click
import pytest
from celery.worker import state

from celery_inference import app
from celery_inference.metrics import table
from celery_inference.specs.errors import InputFailed, InvalidInput
from celery_inference.sqs.consumer.pause import Pauses
from celery_inference.sqs.lanes import LANES
from tasks.context import WorkerContext
from tasks.resilience.circuit_breaker import CircuitBreaker
from tasks.resilience.failure_rate import FailureRate
from tasks.worker.health import server as health_server
from tasks.worker.health.address import HealthAddress

STATS: dict[str, Any] = {
    "models": {'sm"all': {"rows": 8, "batches": 2, "forward_seconds": 0.5}},
    "devices": {
        "cpu": {
            "restarts": 1,
            "state": "ready",
            "memory": {"process": 512},
            "model_memory": {'sm"all': {"weights_bytes": 90}},
            "memory_limits": {'sm"all': ((64, 2048),)},
        }
    },
}


@pytest.fixture
def context() -> WorkerContext:
    return WorkerContext(app, pauses=Pauses())


def load(context: WorkerContext) -> None:
    """As when models are loaded."""
    context.engine.engine = SimpleNamespace(stats=lambda: STATS)  # type: ignore[assignment]


@pytest.fixture
def faults(context: WorkerContext, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Why the worker is not ready; what finds them is tested in test_readiness.py."""
    found: list[str] = []
    monkeypatch.setattr(context.readiness, "faults", lambda: found)
    return found


@pytest.fixture
def url(context: WorkerContext, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(state, "should_stop", None)
    monkeypatch.setattr(state, "should_terminate", None)
    server = health_server.HealthServer(("127.0.0.1", 0), context)
    server.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_worker_is_live_before_it_is_ready_and_neither_when_it_stops(
    url: str, context: WorkerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert get(f"{url}/live") == (200, "live\n")
    assert get(f"{url}/ready") == (503, "not ready\nmodels are not loaded yet\n")
    assert get(f"{url}/metrics") == (200, "")
    load(context)
    assert get(f"{url}/ready") == (503, "not ready\nthe worker does not receive yet\n")
    monkeypatch.setattr(context.readiness, "faults", list)
    assert get(f"{url}/ready") == (200, "ready\n")
    monkeypatch.setattr(state, "should_stop", 0)
    assert get(f"{url}/live")[0] == 503
    assert get(f"{url}/ready") == (503, "not ready\nthe worker stops\n")
    assert get(f"{url}/other")[0] == 404


def test_metrics_have_the_names_of_the_table(url: str, context: WorkerContext) -> None:
    load(context)
    context.engine.note_wait('sm"all', 1.5)
    context.engine._report_failed('sm"all', "r", [InvalidInput("inputs is empty"), [1.0], InputFailed("inputs failed")])
    text = get(f"{url}/metrics")[1]
    assert 'celery_inference_inputs_total{model="sm\\"all"} 8.0\n' in text
    assert 'celery_inference_queue_waits_total{model="sm\\"all"} 1.0\n' in text
    assert 'celery_inference_invalid_inputs_total{model="sm\\"all"} 1.0\n' in text
    assert 'celery_inference_failed_inputs_total{model="sm\\"all"} 1.0\n' in text
    assert 'celery_inference_device_restarts_total{device="cpu"} 1.0\n' in text
    assert 'celery_inference_device_memory_bytes{device="cpu",kind="process"} 512.0\n' in text
    assert 'celery_inference_model_memory_bytes{device="cpu",kind="weights",model="sm\\"all"} 90.0\n' in text
    assert (
        'celery_inference_model_memory_limit_tokens{device="cpu",least_tokens="64",model="sm\\"all"} 2048.0\n' in text
    )
    names = {line.split("{")[0] for line in text.splitlines() if not line.startswith("#")}
    assert names <= {metric.name for metric in table.served_by("worker")}


def test_a_paused_lane_is_said_and_leaves_the_worker_ready(url: str, context: WorkerContext, faults: list[str]) -> None:
    load(context)
    limits: dict[str, Any] = {lane.name: FailureRate(share=0.5, least=2, an_hour=9, clock=time.time) for lane in LANES}
    halt: list[str] = []
    watch = CircuitBreaker(LANES, limits, None, name="w", pause=halt.append, resume=halt.remove)
    context.breaker = watch
    assert get(f"{url}/ready") == (200, "ready\n")
    assert 'celery_inference_lane_paused{lane="inference"} 0.0\n' in get(f"{url}/metrics")[1]
    for _ in range(2):
        watch.record_outcome("inference", dead=True)
    why = "lane inference is paused: 2 of the last 2 requests became dead letters\n"
    assert get(f"{url}/ready") == (200, f"ready\n{why}")
    assert 'celery_inference_lane_paused{lane="inference"} 1.0\n' in get(f"{url}/metrics")[1]
    faults.append("this host is at fault")
    assert get(f"{url}/ready") == (503, f"not ready\nthis host is at fault\n{why}")
    context.pauses.hold("host", "this host is at fault")
    assert 'celery_inference_worker_paused{reason="host"} 1.0\n' in get(f"{url}/metrics")[1]


@pytest.mark.parametrize(("given", "host", "port"), [("80", "127.0.0.1", 80), ("0.0.0.0:1", "0.0.0.0", 1)])
def test_an_address_is_a_port_of_loopback_unless_it_says_more(given: str, host: str, port: int) -> None:
    assert HealthAddress().convert(given, None, None) == (host, port)


@pytest.mark.parametrize("given", ["", "x", "65536", "-1", "host:"])
def test_an_address_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(click.BadParameter):
        HealthAddress().convert(given, None, None)
