"""A worker's start and end, and stores that fail under it."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from celery_inference import app, feature_extraction, infer
from celery_inference.results.access import store_of
from celery_inference.specs.errors import InferenceError, NotServedHere
from celery_inference.sqs.api.client_factory import make_client
from celery_inference.sqs.lanes import Lane
from celery_inference.sqs.queues.depths import Depth, read_depths
from demo.processes import ROOT, Process, free_port
from demo.stack import Stack
from tests.support.client import client_of
from tests.support.device_processes import device_processes
from tests.support.lanes import GENERAL, INFERENCE

SECONDS = 60


@pytest.fixture
def stack(tmp_path: Path, catalogue_of_one: Path) -> Iterator[Stack]:
    with (
        Stack(tmp_path / "stack", catalogue=catalogue_of_one, CELERY_INFERENCE_LEASE_SECONDS="5") as stack,
        client_of(stack),
    ):
        stack.start_server()
        yield stack


def eventually(true: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < until, what
        time.sleep(0.05)


def depths_of(stack: Stack, lane: Lane) -> Sequence[Depth]:
    """The lane's queue's and its dead-letter queue's."""
    client = make_client(endpoint_url=stack.endpoint, region="us-east-1", access_key="local", secret_key="local")
    return read_depths(client, [lane])


def lane(stack: Stack) -> Depth:
    return depths_of(stack, INFERENCE)[0]


def start_worker(stack: Stack, *options: str, **environment: str) -> Process:
    """A worker that is not waited for."""
    stack.environment |= environment
    return stack.start("unready", "celery", "-A", "tasks", "worker", *options)


def attempts_of(results: Sequence[Any]) -> dict[str, int]:
    """How many each request has used up, for those that have."""
    store = store_of(app)
    assert store is not None
    found = store.attempts([(result.id, 0) for result in results])
    return {task_id: attempts.count for (task_id, _), attempts in found.items() if attempts.count}


@contextmanager
def standing_still(worker: Process) -> Iterator[None]:
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker.pid, signal.SIGCONT)


def test_sigterm_while_models_load_ends_the_worker_and_its_device_process(stack: Stack) -> None:
    worker = start_worker(stack)
    eventually(lambda: device_processes(worker) != [], "no device process is started")
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.wait(SECONDS) == 0
    assert " ready." not in worker.text()


@pytest.mark.parametrize(
    ("first", "second"),
    [(signal.SIGTERM, signal.SIGTERM), (signal.SIGTERM, signal.SIGQUIT), (signal.SIGINT, signal.SIGINT)],
)
def test_a_second_signal_ends_a_worker_that_is_busy_and_releases_what_it_holds(
    stack: Stack, first: signal.Signals, second: signal.Signals
) -> None:
    stack.environment["CELERY_INFERENCE_LEASE_SECONDS"] = "300"
    worker = stack.start_worker()
    held = [feature_extraction.delay("please hang for ever") for _ in range(3)]
    eventually(lambda: lane(stack).in_flight == len(held), "the worker takes no requests")
    os.kill(worker.pid, first)
    worker.wait_until(lambda text: "shutdown" in text, SECONDS)
    os.kill(worker.pid, second)
    worker.wait(20)
    assert "Traceback" not in worker.text()
    eventually(lambda: lane(stack).visible == len(held), "what it held is not released")
    assert attempts_of(held) == {}, "what a worker gives back has cost nothing"


def test_a_first_sigquit_ends_a_worker_that_is_busy_and_releases_what_it_holds(stack: Stack) -> None:
    stack.environment["CELERY_INFERENCE_LEASE_SECONDS"] = "300"
    worker = stack.start_worker()
    held = [feature_extraction.delay("please hang for ever") for _ in range(3)]
    eventually(lambda: lane(stack).in_flight == len(held), "the worker takes no requests")
    os.kill(worker.pid, signal.SIGQUIT)
    worker.wait(20)
    assert "Traceback" not in worker.text()
    eventually(lambda: lane(stack).visible == len(held), "what it held is not released")
    assert {result.state for result in held} <= {"PENDING", "RETRY"}
    assert attempts_of(held) == {}, "what a worker gives back has cost nothing"


def test_a_soft_shutdown_finishes_what_it_can_and_releases_the_rest(stack: Stack) -> None:
    stack.environment["CELERY_INFERENCE_LEASE_SECONDS"] = "300"
    # Celery's own way to change a setting of one worker.
    worker = stack.start_worker("worker", "-I", "tests.support.failing_tasks", "--", "worker.soft_shutdown_timeout=10")
    quick, long = (app.send_task("tests.sleepy", args=[seconds]) for seconds in (5.0, 300.0))
    # What is received and does not run yet is released at once, as it should be.
    worker.wait_until(lambda text: all(f"sleeps for {seconds} s" in text for seconds in (5.0, 300.0)), SECONDS)
    os.kill(worker.pid, signal.SIGQUIT)
    assert quick.get(timeout=SECONDS) is None
    worker.wait(45)  # 10 s for what runs, and 10 for a thread that cannot be ended
    eventually(lambda: depths_of(stack, GENERAL)[0].visible == 1, "what it held is not released")
    assert long.state in {"PENDING", "RETRY"}
    assert attempts_of([long]) == {}, "what a worker gives back has cost nothing"


def test_what_outlasts_the_time_to_finish_is_released_and_the_worker_ends(stack: Stack) -> None:
    worker = stack.start_worker("worker", "-I", "tests.support.failing_tasks")
    hanging = [feature_extraction.delay("please hang for ever") for _ in range(2)]
    sleepy = app.send_task("tests.sleepy", args=[300.0])
    eventually(
        lambda: (lane(stack).in_flight, depths_of(stack, GENERAL)[0].in_flight) == (2, 1),
        "the worker takes no requests",
    )
    os.kill(worker.pid, signal.SIGTERM)
    worker.wait(45)  # 15 s for what runs, and 10 for a thread that cannot be ended
    assert (lane(stack).visible, depths_of(stack, GENERAL)[0].visible) == (2, 1)
    assert {result.state for result in [*hanging, sleepy]} <= {"PENDING", "RETRY"}


def test_a_store_that_cannot_be_written_is_waited_for_and_nothing_is_lost(stack: Stack) -> None:
    store = Path(stack.environment["CELERY_INFERENCE_RESULT_BACKEND"].removeprefix("sqlite:///"))
    worker = stack.start_worker()
    assert len(feature_extraction.delay("before").get(timeout=SECONDS)) == 384
    hidden = store.parent / "hidden"
    hidden.mkdir()
    with standing_still(worker):
        for file in store.parent.glob("results.sqlite*"):
            file.rename(hidden / file.name)
        store.mkdir()
    sent = [feature_extraction.delay(f"while it is away, {number}") for number in range(5)]
    eventually(lambda: "cannot be stored" in worker.text(), "the worker says nothing of its store")
    assert worker.text().count("cannot be stored") == 1
    with standing_still(worker):  # it would make a new one between the two
        store.rmdir()
        for file in hidden.iterdir():
            file.rename(store.parent / file.name)
    assert [len(result.get(timeout=SECONDS)) for result in sent] == [384] * 5


def test_a_worker_whose_store_stays_away_ends_when_it_is_told_to(stack: Stack) -> None:
    store = Path(stack.environment["CELERY_INFERENCE_RESULT_BACKEND"].removeprefix("sqlite:///"))
    worker = stack.start_worker()
    with standing_still(worker):
        store.unlink(missing_ok=True)
        store.mkdir()
    for number in range(5):
        feature_extraction.delay(f"never to be stored, {number}")
    eventually(lambda: "cannot be stored" in worker.text(), "the worker says nothing of its store")
    os.kill(worker.pid, signal.SIGTERM)
    worker.wait(30)
    assert lane(stack).total == 5


def test_a_result_file_that_is_deleted_is_made_again(stack: Stack) -> None:
    stack.start_worker()
    assert feature_extraction.delay("before").get(timeout=SECONDS)
    for file in stack.folder.glob("results.sqlite*"):
        file.unlink()
    assert len(feature_extraction.delay("after").get(timeout=SECONDS)) == 384


def test_a_model_that_this_worker_does_not_serve_is_left_to_others(tmp_path: Path, catalogue_of_one: Path) -> None:
    table = catalogue_of_one.read_text(encoding="utf-8").partition("[fragile.faults]")[0]
    catalogue_of_one.write_text(table + table.replace("[fragile]", "[second]"), encoding="utf-8")
    with (
        Stack(tmp_path / "stack", catalogue=catalogue_of_one, CELERY_INFERENCE_MODELS="fragile") as stack,
        client_of(stack),
    ):
        stack.start_server()
        first = stack.start_worker("first")
        elsewhere = infer.delay("second", "for the other worker")
        eventually(lambda: elsewhere.state == "RETRY", "the first worker did not say that another should have it")
        first.stop()
        stack.environment["CELERY_INFERENCE_MODELS"] = "second"
        stack.start_worker("second")
        assert len(elsewhere.get(timeout=SECONDS)) == 384


def test_what_no_worker_knows_fails_only_after_the_version_window(stack: Stack) -> None:
    stack.environment["CELERY_INFERENCE_UNKNOWN_TASK_GRACE_SECONDS"] = "15"
    stack.start_worker()
    kinds: list[dict[str, str]] = [{"model": "of-tomorrow"}, {"option_of_tomorrow": "5"}]
    began = time.monotonic()
    sent = [app.send_task("celery_inference.feature_extraction", args=["a text"], kwargs=kwargs) for kwargs in kinds]
    eventually(lambda: all(each.state == "RETRY" for each in sent), "the worker did not leave them to others")
    for each in sent:
        with pytest.raises(NotServedHere, match=r"of.tomorrow"):
            each.get(timeout=SECONDS)
    assert time.monotonic() - began > 10
    client = make_client(endpoint_url=stack.endpoint, region="us-east-1", access_key="local", secret_key="local")
    eventually(lambda: read_depths(client, [INFERENCE])[1].visible == len(sent), "no dead letters")


def test_tasks_of_other_kinds_run_beside_requests_that_hold_every_slot(stack: Stack) -> None:
    # It knows no task but Celery's, and takes the lane for others only because it is told to.
    stack.start_worker("worker", "-c", "2", "-Q", f"{INFERENCE.name},{GENERAL.name}")
    for number in range(4):
        feature_extraction.delay(f"please hang for ever, {number}")
    eventually(lambda: lane(stack).in_flight == 2, "the worker takes no requests")
    cleanup = app.tasks["celery.backend_cleanup"]
    assert cleanup.apply_async(ignore_result=False).get(timeout=SECONDS) is None


@pytest.mark.parametrize(
    ("options", "environment", "sentence"),
    [
        (["-P", "threads"], {}, "--pool has no effect on this worker"),
        (["-P", "prefork"], {}, "--pool has no effect on this worker"),
        ([], {"CELERY_INFERENCE_CLAIM_CHECK": "file:///proc/claims"}, "which cannot be written"),
        ([], {"CELERY_INFERENCE_MODELS": "nonsense"}, 'model "nonsense" is not known'),
        ([], {"CELERY_INFERENCE_DEVICES": "tpu"}, "CELERY_INFERENCE_DEVICES is 'tpu'"),
    ],
)
def test_a_worker_that_cannot_start_says_why_in_one_sentence(
    stack: Stack, options: list[str], environment: dict[str, str], sentence: str
) -> None:
    worker = start_worker(stack, *options, **environment)
    assert worker.wait(SECONDS) != 0
    assert sentence in worker.text()
    assert "Traceback" not in worker.text()


def ready(port: int) -> tuple[int, str]:
    """What /ready answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=SECONDS) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_without_a_level_the_log_tells_of_readiness_and_failures_and_ready_of_a_server_that_is_gone(
    stack: Stack,
) -> None:
    port = free_port()
    worker = start_worker(stack, "--log-format", "json", "--health-port", str(port))
    worker.wait_until(lambda text: '"worker_ready"' in text, SECONDS)
    assert ready(port) == (200, "ready\n")
    failed = feature_extraction.delay("please divide by zero")
    with pytest.raises(InferenceError):
        failed.get(timeout=SECONDS)
    worker.wait_until(lambda text: '"request_failed"' in text, SECONDS)
    lines = [json.loads(line) for line in worker.text().splitlines() if line.startswith("{")]
    told = {line["event"]: line for line in lines}
    assert told["worker_ready"]["models"] == ["fragile"]
    expected = {"request_id": failed.id, "model": "fragile", "lane": "inference", "cause": "DeviceCrash"}
    assert told["request_failed"].items() >= expected.items()
    assert "request_succeeded" not in told, "successes are many"
    stack.server.kill()
    eventually(lambda: "Could not connect" in ready(port)[1], "a worker without SQS is ready")
    assert ready(port)[0] == 503


def test_a_missing_model_folder_is_one_sentence(stack: Stack, tmp_path: Path) -> None:
    catalogue = tmp_path / "missing.toml"
    catalogue.write_text('[gone]\ntask = "feature-extraction"\nsource = "./nowhere"\n', encoding="utf-8")
    worker = start_worker(stack, CELERY_INFERENCE_CATALOGUE=str(catalogue))
    assert worker.wait(SECONDS) != 0
    assert 'model "gone": the folder' in worker.text()
    assert "Traceback" not in worker.text()


def test_polling_for_a_result_may_be_the_first_thing_that_a_program_does(stack: Stack) -> None:
    program = "from celery_inference import app; print(app.AsyncResult('unknown').state)"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={"PATH": "", **stack.environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert ended.stdout.strip() == "PENDING", ended.stderr


def test_children_that_fork_after_the_first_use_work_on(stack: Stack) -> None:
    stack.start_worker()
    program = """
import os
from celery_inference import feature_extraction
first = feature_extraction.delay("in the parent")
first.get(timeout=60); first.forget()
child = os.fork()
if child == 0:
    result = feature_extraction.delay("in the child")
    assert len(result.get(timeout=60)) == 384
    result.forget()
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=ROOT,
        env={"PATH": "", **stack.environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert ended.stdout.strip() == "7", ended.stderr


def test_a_store_that_is_none_is_an_error_and_not_a_wait(stack: Stack, tmp_path: Path) -> None:
    noise = tmp_path / "noise.sqlite"
    noise.write_bytes(os.urandom(8192))
    program = "from celery_inference import app; app.AsyncResult('x').get(timeout=2)"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={"PATH": "", **stack.environment, "CELERY_INFERENCE_RESULT_BACKEND": f"sqlite:///{noise}"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert ended.returncode == 1
    assert "not a database" in ended.stderr
