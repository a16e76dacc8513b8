"""What orchestrators ask a worker, answered over HTTP; the engine's stats are made up."""

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import click
import pytest
from celery.worker import state

from celery_inference.sqs.consumer.pause import BRAKE
from celery_inference.sqs.lanes import LANES
from tasks import health, letter_duties, serving
from tasks.dead_letter_limit import DeadLetterLimit
from tasks.figures import WAITS
from tasks.health_address import Address
from tasks.lane_watch import LaneWatch

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
STATS: dict[str, Any] = {
    "models": {'sm"all': {"rows": 8, "batches": 2, "forward_seconds": 0.5}},
    "devices": {
        "cpu": {
            "restarts": 1,
            "state": "ready",
            "memory": {"process": 512},
            "model_memory": {'sm"all': {"weights_bytes": 90}},
            "ceilings": {'sm"all': ((64, 2048),)},
        }
    },
}


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(state, "should_stop", None)
    monkeypatch.setattr(state, "should_terminate", None)
    server = ThreadingHTTPServer(("127.0.0.1", 0), health.Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    health._receiving.clear()


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_worker_is_live_before_it_is_ready_and_neither_when_it_stops(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert get(f"{url}/live") == (200, "live\n")
    assert get(f"{url}/ready") == (503, "not ready\n")
    assert get(f"{url}/metrics") == (200, "")
    monkeypatch.setattr(serving, "_engine", SimpleNamespace(stats=lambda: STATS))
    assert get(f"{url}/ready")[0] == 503, "loaded, and not receiving yet"
    health._note_ready()
    assert get(f"{url}/ready") == (200, "ready\n")
    monkeypatch.setattr(state, "should_stop", 0)
    assert get(f"{url}/live")[0] == get(f"{url}/ready")[0] == 503
    assert get(f"{url}/other")[0] == 404


def test_metrics_have_the_documented_names(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_engine", SimpleNamespace(stats=lambda: STATS))
    WAITS.note('sm"all', 1.5)
    text = get(f"{url}/metrics")[1]
    assert 'inference_inputs_total{model="sm\\"all"} 8\n' in text
    assert 'inference_queue_waits_total{model="sm\\"all"} 1\n' in text
    assert 'device_restarts_total{device="cpu"} 1\n' in text
    assert 'device_memory_bytes{device="cpu",kind="process"} 512\n' in text
    assert 'model_memory_bytes{device="cpu",model="sm\\"all",kind="weights"} 90\n' in text
    assert 'model_ceiling_tokens{device="cpu",model="sm\\"all",least_tokens="64"} 2048\n' in text
    documented = DOCUMENT.read_text(encoding="utf-8")
    own = (health.LANE_STOPPED, health.BRAKED)
    for name in (*health.TOTALS.values(), health.RESTARTS, health.MEMORY, health.MODEL_MEMORY, health.CEILINGS, *own):
        assert f"`{name}`" in documented


def test_who_takes_nothing_from_a_lane_or_nothing_at_all_is_not_ready_and_says_why(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "_engine", SimpleNamespace(stats=lambda: STATS))
    health._note_ready()
    limits: dict[str, Any] = {
        lane.name: DeadLetterLimit(share=0.5, least=2, an_hour=9, clock=time.time) for lane in LANES
    }
    halt: list[str] = []
    watch = LaneWatch(LANES, limits, None, name="w", halt=halt.append, go_on=halt.remove)
    monkeypatch.setattr(letter_duties, "_watch", watch)
    assert get(f"{url}/ready") == (200, "ready\n")
    assert 'lane_stopped{lane="inference"} 0\n' in get(f"{url}/metrics")[1]
    for _ in range(2):
        watch.note("inference", dead=True)
    why = "lane inference is stopped: 2 of the last 2 requests became dead letters\n"
    assert get(f"{url}/ready") == (503, f"not ready\n{why}")
    assert 'lane_stopped{lane="inference"} 1\n' in get(f"{url}/metrics")[1]
    BRAKE.hold("host", "this host is at fault")
    try:
        assert get(f"{url}/ready") == (503, f"not ready\nthis host is at fault\n{why}")
        assert 'worker_braked{reason="host"} 1\n' in get(f"{url}/metrics")[1]
    finally:
        BRAKE.let_go("host")


@pytest.mark.parametrize(("given", "host", "port"), [("80", "127.0.0.1", 80), ("0.0.0.0:1", "0.0.0.0", 1)])
def test_an_address_is_a_port_of_loopback_unless_it_says_more(given: str, host: str, port: int) -> None:
    assert Address().convert(given, None, None) == (host, port)


@pytest.mark.parametrize("given", ["", "x", "65536", "-1", "host:"])
def test_an_address_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(click.BadParameter):
        Address().convert(given, None, None)
