"""`celery -A tasks flower`, stock Flower with our flowerconfig.py, on the embedded server; no worker runs."""

import json
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from celery_inference.sqs.api.client_factory import make_client
from celery_inference.sqs.lanes import LANES
from celery_inference.sqs.queues.provisioning import create
from demo.processes import Process, free_port
from demo.stack import Stack
from monitor.queues.poll_interval import INTERVAL_SECONDS

SECONDS = 60


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Server, lanes and Flower; the broker's URL has a user and a secret that nobody may see."""
    with Stack(tmp_path_factory.mktemp("flower")) as stack:
        url = stack.environment["CELERY_INFERENCE_BROKER_URL"].replace("local:local", "AKIAUSER:sEcrEt")
        stack.environment["CELERY_INFERENCE_BROKER_URL"] = url
        stack.start_server()
        for lane in LANES:
            create(client(stack), lane)
        stack.flower = stack.start_flower()  # type: ignore[attr-defined]
        yield stack


def client(stack: Stack) -> Any:
    return make_client(endpoint_url=stack.endpoint, region="us-east-1", access_key="local", secret_key="local")


def get(stack: Stack, path: str) -> str:
    with urllib.request.urlopen(stack.flower_url + path, timeout=SECONDS) as answer:
        return str(answer.read().decode())


def report(stack: Stack) -> dict[str, Any]:
    return dict(json.loads(get(stack, "/api/queues/length")))


def freshness(stack: Stack) -> dict[str, Any]:
    return dict(json.loads(get(stack, "/api/events/freshness")))


def counts(stack: Stack, queue: str = "inference") -> tuple[int | None, ...]:
    (row,) = (row for row in report(stack)["active_queues"] if row["name"] == queue)
    return row["visible"], row["in_flight"], row["delayed"]


def wait_until(true: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < until, what
        time.sleep(0.1)


@contextmanager
def another_flower(stack: Stack, folder: Path, *options: str, **variables: str) -> Iterator[Process]:
    """A Flower beside the stack's own, on a free port."""
    command = [sys.executable, "-m", "celery", "-A", "tasks", "flower", f"--port={free_port()}", *options]
    flower = Process("flower", command, folder / "flower.log", {**stack.environment, **variables})
    try:
        yield flower
    finally:
        flower.stop()


def test_visible_in_flight_delayed_and_dead_letters_are_shown(stack: Stack) -> None:
    sqs = client(stack)
    url, dead_letters = (sqs.get_queue_url(QueueName=name)["QueueUrl"] for name in ("inference", "inference-dlq"))
    wait_until(lambda: counts(stack) == (0, 0, 0), "an empty lane is shown as empty")
    for _ in range(5):
        sqs.send_message(QueueUrl=url, MessageBody="waits")
    sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=900)
    sqs.send_message(QueueUrl=dead_letters, MessageBody="failed")
    held = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=2, VisibilityTimeout=600)["Messages"]
    wait_until(lambda: counts(stack) == (5 - len(held), len(held), 1), "the lane is shown")
    wait_until(lambda: counts(stack, "inference-dlq") == (1, 0, 0), "the dead letter is shown")
    scraped = get(stack, "/metrics")
    assert f'celery_inference_queue_messages{{queue="inference",state="in_flight"}} {len(held)}.0' in scraped
    assert 'celery_inference_lane_dead_letters{lane="inference"} 1.0' in scraped
    assert "dead letters of inference" in get(stack, "/broker")
    for queue_url in (url, dead_letters):
        sqs.purge_queue(QueueUrl=queue_url)
    wait_until(lambda: counts(stack)[0] == 0, "the lane is shown as empty again")


def calls(stack: Stack) -> Counter[str]:
    with urllib.request.urlopen(f"{stack.endpoint}/_local/calls", timeout=SECONDS) as answer:
        return Counter(json.loads(answer.read()))


def test_without_broadcast_flower_asks_for_depths_alone_and_makes_no_queue(tmp_path: Path) -> None:
    with Stack(tmp_path, CELERY_INFERENCE_BROADCAST="off") as quiet:
        quiet.start_server()
        for lane in LANES:
            create(client(quiet), lane)
        before = calls(quiet)
        flower = quiet.start_flower()
        for path in ("/workers", "/workers?refresh=1", "/tasks", "/broker"):
            get(quiet, path)
        wait_until(lambda: (calls(quiet) - before)["GetQueueAttributes"], "it asks")
        os.kill(flower.pid, signal.SIGTERM)
        assert flower.wait(SECONDS) == 0
        assert set(calls(quiet) - before) == {"GetQueueUrl", "GetQueueAttributes"}
        names = [url.rpartition("/")[2] for url in client(quiet).list_queues()["QueueUrls"]]
        assert sorted(names) == sorted(queue.name for lane in LANES for queue in (lane.queue, lane.dead_letter_queue))
        assert "Inspect" not in flower.text()
        assert "Failed to" not in flower.text()


def test_many_viewers_cost_sqs_nothing(stack: Stack) -> None:
    before, began = calls(stack), time.monotonic()
    for _ in range(50):
        for path in ("/broker", "/api/queues/length", "/api/queues/history", "/metrics"):
            get(stack, path)
    rounds = 1 + (time.monotonic() - began) / INTERVAL_SECONDS
    assert (calls(stack) - before)["GetQueueAttributes"] <= 2 * len(LANES) * (rounds + 1)


def test_credentials_are_neither_logged_nor_shown(stack: Stack) -> None:
    told = [(stack.folder / "flower.log").read_text()]
    told += [get(stack, path) for path in ("/broker", "/workers", "/api/queues/length", "/metrics")]
    assert "Broker: sqs://127.0.0.1:" in told[0]
    for text in told:
        assert "AKIAUSER" not in text
        assert "sEcrEt" not in text


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_model_library_is_loaded_in_flower(stack: Stack) -> None:
    loaded = Path(f"/proc/{stack.flower.pid}/maps").read_text()  # type: ignore[attr-defined]
    assert "tornado" in loaded or "libpython" in loaded or "_ssl" in loaded
    for library in ("libtorch", "site-packages/torch", "site-packages/tokenizers", "site-packages/numpy"):
        assert library not in loaded


def test_sqs_goes_away_and_comes_back(stack: Stack) -> None:
    sqs = client(stack)
    url = sqs.get_queue_url(QueueName="inference")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="stays")
    wait_until(lambda: counts(stack)[0] == 1, "the message is shown")
    stack.server.kill()
    wait_until(lambda: all(lane["stale"] for lane in report(stack)["lanes"]), "the fault is noticed")
    assert counts(stack)[0] == 1
    assert "SQS cannot be read; figures are" in get(stack, "/broker")
    assert 'celery_inference_queue_messages{queue="inference",state="visible"} 1.0' in get(stack, "/metrics")
    stack.start_server()
    wait_until(lambda: not report(stack)["stale"], "the recovery is noticed")
    assert counts(stack)[0] == 1


@pytest.mark.parametrize(("options", "variables"), [(["--address=0.0.0.0"], {}), ([], {"FLOWER_ADDRESS": "0.0.0.0"})])
def test_an_open_address_without_login_is_refused_in_one_sentence(
    stack: Stack, tmp_path: Path, options: list[str], variables: dict[str, str]
) -> None:
    with another_flower(stack, tmp_path, *options, **variables) as flower:
        assert flower.wait(SECONDS) == 1
        assert flower.text().strip().splitlines()[-1].startswith("Error: Flower would answer everybody on 0.0.0.0")
        assert "Traceback" not in flower.text()


def test_a_login_opens_an_address_and_guards_it(stack: Stack, tmp_path: Path) -> None:
    with another_flower(stack, tmp_path, "--address=127.0.0.2", FLOWER_BASIC_AUTH="user:pass") as flower:
        flower.wait_until(lambda text: "Visit me at http://127.0.0.2:" in text, SECONDS)
        port = flower.text().split("http://127.0.0.2:")[1].split()[0]
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"http://127.0.0.2:{port}/api/queues/length", timeout=SECONDS)


def test_flower_ends_at_sigterm_and_keeps_its_state_where_told(stack: Stack, tmp_path: Path) -> None:
    with another_flower(stack, tmp_path, "--persistent=True", f"--db={tmp_path / 'state'}") as flower:
        flower.wait_until(lambda text: "Visit me at" in text, SECONDS)
        # The line comes before Flower's loop runs; a signal must end it all the same.
        os.kill(flower.pid, signal.SIGTERM)
        assert flower.wait(SECONDS) == 0
        assert list(tmp_path.glob("state*"))
        assert "Traceback" not in flower.text()


def test_flower_starts_while_sqs_is_away(tmp_path: Path) -> None:
    with Stack(tmp_path) as alone:
        alone.start_flower()
        wait_until(lambda: report(alone)["failures"] != [], "the fault is told")
        assert {row["visible"] for row in report(alone)["active_queues"]} == {None}
        assert get(alone, "/broker")
        wait_until(lambda: bool(freshness(alone)["failure"]), "and that no events are heard")
        assert "SQS has not answered yet" in get(alone, "/workers")
        alone.start_server()
        wait_until(lambda: not freshness(alone)["stale"], "events are heard once SQS is there")


def test_an_sqs_that_never_answers_holds_up_neither_pages_nor_the_end(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, Stack(tmp_path) as alone:
        port = silent.getsockname()[1]
        alone.environment["CELERY_INFERENCE_BROKER_URL"] = f"sqs://local:local@127.0.0.1:{port}//"
        flower = alone.start_flower()
        silent.settimeout(SECONDS)
        asking, _ = silent.accept()
        with asking:
            assert report(alone)["freshness"] == "Not read yet"
            assert "data-queue" in get(alone, "/broker")
            os.kill(flower.pid, signal.SIGTERM)
            assert flower.wait(SECONDS) == 0
            asking.setblocking(False)
            assert asking.recv(65_536).startswith(b"POST / HTTP/1.1")
