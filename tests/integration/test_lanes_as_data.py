"""Lanes as data, with real workers: unlike workers, and two deployments on one server."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery.exceptions import TimeoutError as CeleryTimeoutError

from celery_inference import infer
from celery_inference.sqs.api.client_factory import make_client
from demo.stack import Stack
from tests.support import tiny_models
from tests.support.client import client_of

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60
LANES = """
[inference]
default = true
[lane-a]
[lane-b]
[other]
own_slots = 2
"""
CATALOGUE = """
[a]
task = "feature-extraction"
source = "./tiny"
max_tokens = 64
lane = "lane-a"
[b]
task = "feature-extraction"
source = "./tiny"
max_tokens = 64
lane = "lane-b"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lanes")
    tiny_models.make("feature-extraction", folder / "tiny")
    (folder / "catalogue.toml").write_text(CATALOGUE)
    (folder / "lanes.toml").write_text(LANES)
    return folder


@pytest.fixture(scope="module")
def stack(folder: Path) -> Iterator[Stack]:
    settings = {"CELERY_INFERENCE_LANES": str(folder / "lanes.toml"), "CELERY_INFERENCE_DEVICES": "cpu"}
    with Stack(folder / "stack", catalogue=folder / "catalogue.toml", **settings) as stack, client_of(stack):
        stack.start_server()
        yield stack


def queues_of(log: str) -> str:
    (line,) = [line for line in log.splitlines() if "queues: " in line]
    return line.partition("queues: ")[2].partition(";")[0]


def test_unlike_workers_take_the_lanes_of_their_models_and_nothing_bounces(stack: Stack) -> None:
    workers = {}
    for name in ("a", "b"):
        stack.environment["CELERY_INFERENCE_MODELS"] = name
        workers[name] = stack.start_worker(name)
    del stack.environment["CELERY_INFERENCE_MODELS"]
    # Nobody knows a task that is not inference, and no model is in the default lane, which all take.
    assert queues_of(workers["a"].text()) == "inference, lane-a"
    assert queues_of(workers["b"].text()) == "inference, lane-b"
    for result in [infer.delay(name, "the cat sleeps") for name in ("a", "b") * 25]:
        assert len(result.get(timeout=SECONDS)) > 0
    for worker in workers.values():
        assert "is left to other workers" not in worker.text()
    # A worker that has them both takes both lanes, and one of a part of a lane's models says so.
    both = stack.start_worker("both")
    assert queues_of(both.text()) == "inference, lane-a, lane-b"
    catalogue = Path(stack.environment["CELERY_INFERENCE_CATALOGUE"])
    one_lane = catalogue.with_name("one-lane.toml")
    one_lane.write_text(CATALOGUE.replace("lane-b", "lane-a"))
    stack.environment |= {"CELERY_INFERENCE_CATALOGUE": str(one_lane), "CELERY_INFERENCE_MODELS": "a"}
    part = stack.start_worker("part")
    assert "lane lane-a: of its models a are served here, not b" in part.text()
    del stack.environment["CELERY_INFERENCE_MODELS"]
    stack.environment["CELERY_INFERENCE_CATALOGUE"] = str(catalogue)
    for process in (*workers.values(), both, part):
        process.stop()


def test_a_worker_with_a_task_of_its_deployment_takes_the_lane_for_it(stack: Stack) -> None:
    worker = stack.start_worker("with-tasks", "--include", "tests.support.outcome_tasks")
    assert queues_of(worker.text()) == "inference, lane-a, lane-b, other"
    worker.stop()


def test_two_deployments_live_on_one_server(stack: Stack, folder: Path) -> None:
    settings = {
        "CELERY_INFERENCE_LANES": str(folder / "lanes.toml"),
        "CELERY_INFERENCE_DEVICES": "cpu",
        "CELERY_INFERENCE_QUEUE_PREFIX": "staging-",
        "CELERY_INFERENCE_BROKER_URL": stack.environment["CELERY_INFERENCE_BROKER_URL"],
    }
    staging = Stack(folder / "staging", catalogue=folder / "catalogue.toml", **settings)
    with staging, client_of(staging) as app:
        staging.start_worker("staging")
        assert len(infer.delay("a", "the cat sleeps").get(timeout=SECONDS)) > 0
        assert app.control.ping(timeout=15, limit=1)
        client = make_client(endpoint_url=stack.endpoint, region="us-east-1", access_key="local", secret_key="local")
        names = {url.rpartition("/")[2] for url in client.list_queues(MaxResults=1000)["QueueUrls"]}
        assert {"staging-lane-a", "staging-lane-a-dlq", "staging-inference"} <= names
        assert [name for name in names if "celery-broadcast" in name and name.startswith("staging-")]
        command = [sys.executable, "-m", "celery_inference"]
        environment = {**staging.environment, "PATH": ""}
        listed = subprocess.run(
            [*command, "queues", "list"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
        )
        assert {line.split()[0] for line in listed.stdout.splitlines()[1:]} == {
            f"staging-{name}{end}" for name in ("inference", "lane-a", "lane-b", "other") for end in ("", "-dlq")
        }, listed.stderr
        checked = subprocess.run(
            [*command, "queues", "check"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
        )
        assert (checked.returncode, checked.stdout) == (0, "as declared\n"), checked.stderr
        # A request that fails for good is a dead letter of staging's queue, under the lane's own name.
        failed = app.send_task("celery_inference.infer", args=["a", {"not": "a text"}], queue="lane-a")
        failed.get(timeout=SECONDS, propagate=False)
        staging_letters = _letters(command, environment)
        assert [letter["lane"] for letter in staging_letters] == ["lane-a"]
        assert failed.id in {letter["task_id"] for letter in staging_letters}
    with client_of(stack):
        assert _letters(command, {**stack.environment, "PATH": ""}) == []


def _letters(command: list[str], environment: dict[str, str]) -> list[dict[str, str]]:
    asked = subprocess.run(
        [*command, "dlq", "list", "--letters", "--json"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert asked.returncode == 0, asked.stderr
    found: list[dict[str, str]] = json.loads(asked.stdout)["letters"]
    return found


def test_a_result_that_does_not_come_says_which_store_was_asked(stack: Stack) -> None:
    result = infer.delay("a", "nobody serves it now")
    with pytest.raises(
        CeleryTimeoutError, match=r"sqlite:///.*results\.sqlite has no outcome of request .* within 0.2 s"
    ):
        result.get(timeout=0.2)
