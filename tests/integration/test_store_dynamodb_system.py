"""The whole system with its results in DynamoDB, as moto serves it over HTTP, and its queues on the embedded server."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from celery_inference import infer
from celery_inference.results.access import index_of, store_of
from celery_inference.specs.errors import DeviceCrash
from celery_inference.sqs.api.client_factory import make_client
from celery_inference.sqs.lanes import LANES
from celery_inference.sqs.queues.provisioning import create
from demo.__main__ import write_catalogue
from demo.stack import Stack
from tasks.worker.startup.result_store import check_result_store
from tests.support.client import client_of
from tests.support.moto_dynamodb import MotoDynamoDB
from tests.support.stores import app_of, moto

__all__ = ["moto"]

SECONDS = 90


@pytest.fixture(scope="module")
def stack(moto: MotoDynamoDB, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Server, worker and Flower, and this process's application pointed at them."""
    folder = tmp_path_factory.mktemp("fleet")
    text = write_catalogue(folder).read_text(encoding="utf-8")
    catalogue = folder / "one.toml"
    catalogue.write_text(text[text.index("[fragile]") :], encoding="utf-8")
    settings = {"CELERY_INFERENCE_RESULT_BACKEND": moto.url("fleet"), "CELERY_INFERENCE_RECONCILE_SECONDS": "3600"}
    with Stack(folder, catalogue=catalogue, **settings) as stack, client_of(stack):
        stack.start_server()
        sqs = make_client(endpoint_url=stack.endpoint, region="us-east-1", access_key="local", secret_key="local")
        for lane in LANES:
            create(sqs, lane)  # a worker makes those that it takes from
        stack.start_worker()
        stack.start_flower()
        yield stack


def command(stack: Stack, *arguments: str) -> Any:
    """What `celery-inference dlq ARGUMENTS --json` prints."""
    asked = [sys.executable, "-m", "celery_inference", "dlq", *arguments, "--json"]
    environment = os.environ | stack.environment
    answer = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=SECONDS)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def eventually(true: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < until, what
        time.sleep(0.1)


def test_requests_succeed_with_one_write_for_the_attempt_and_one_for_the_outcome(
    stack: Stack, moto: MotoDynamoDB
) -> None:
    infer.delay("fragile", "The first writes the figures of its host.").get(timeout=SECONDS)
    before = Counter(moto.calls)
    results = [infer.delay("fragile", f"Parcel {number} is late.") for number in range(20)]
    assert {len(result.get(timeout=SECONDS)) for result in results} == {384}
    calls = moto.calls - before
    assert calls["UpdateItem"] <= 2 * 20 + 4, "leases of the sweep and figures of the host come now and then"
    assert calls["PutItem"] == calls["BatchWriteItem"] == 0
    assert calls["Scan"] == 0


def test_a_dead_letter_is_listed_shown_redriven_and_on_flower_s_page(stack: Stack) -> None:
    result = infer.delay("fragile", "please divide by zero")
    with pytest.raises(DeviceCrash):
        result.get(timeout=SECONDS)
    eventually(lambda: command(stack, "list")["groups"] != [], "the worker has not noted its letter")
    (group,) = command(stack, "list")["groups"]
    assert (group["cause"], group["error_type"], group["model"], group["count"]) == (
        "crash",
        "DeviceCrash",
        "fragile",
        1,
    )
    shown = command(stack, "show", result.id)
    assert (shown["task_id"], shown["in_queue"], shown["generation"]) == (result.id, True, 0)
    with urllib.request.urlopen(f"{stack.flower_url}/dead-letters", timeout=30) as page:
        assert "DeviceCrash" in page.read().decode()
    assert command(stack, "redrive", result.id) == {"sent": 1, "skipped": {}}
    store, index = store_of(infer.app), index_of(infer.app)
    assert store is not None
    assert index is not None
    assert store.generations([result.id]) == {result.id: 1}
    eventually(lambda: infer.app.AsyncResult(result.id).state == "FAILURE", "the new generation has no outcome")
    eventually(lambda: len(index.find(result.id)) == 2, "the new generation's letter is not noted")
    assert list(store.past_outcomes(result.id)) == [0]
    assert command(stack, "reconcile")["inference"] == {"taken_up": 0, "brought_back": 0, "deleted": 0}
    assert [entry.generation for entry in index.find(result.id)] == [1, 0]


def test_a_revoke_lasts_and_a_key_makes_two_submissions_one(stack: Stack) -> None:
    once = [infer.apply_async(("fragile", "The same."), dedup_key="invoice 17") for _ in range(2)]
    assert once[0].id == once[1].id
    assert once[1].get(timeout=SECONDS) == once[0].get(timeout=SECONDS)
    store = store_of(infer.app)
    assert store is not None
    infer.app.control.revoke("not-yet-sent")
    assert store.cancelled(["not-yet-sent"]) == {"not-yet-sent"}
    revoked = infer.apply_async(("fragile", "Never."), task_id="not-yet-sent")
    eventually(lambda: revoked.state == "REVOKED", "the tombstone is not obeyed")


def checked(app: Celery) -> None:
    check_result_store(app)


def test_a_worker_on_a_lesser_backend_says_so_in_one_line(
    caplog: pytest.LogCaptureFixture, tmp_path: Path, moto: MotoDynamoDB
) -> None:
    for url, lines in ((f"file://{tmp_path}", 1), (f"sqlite:///{tmp_path}/r", 0), (moto.url("fresh"), 0)):
        caplog.clear()
        app = app_of("checked")
        app.loader.override_backends = infer.app.loader.override_backends
        app.conf.result_backend = url
        checked(app)
        said = [record.message for record in caplog.records if "keeps outcomes alone" in record.message]
        assert len(said) == lines


def test_a_worker_does_not_start_on_another_s_table(moto: MotoDynamoDB, monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_of("checked")
    app.loader.override_backends = infer.app.loader.override_backends
    app.conf.result_backend = moto.url("others")
    app.backend.table.client.create_table(
        TableName="others",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    with pytest.raises(SystemExit, match=r"others is not the table of a result store: its keys are not id and part"):
        checked(app)


@pytest.mark.parametrize(("broker", "lines"), [("sqs://", 1), ("sqs://k:s@127.0.0.1:9324//", 0)])
def test_results_on_one_host_beside_aws_are_warned_of(
    caplog: pytest.LogCaptureFixture, tmp_path: Path, broker: str, lines: int
) -> None:
    app = app_of("checked")
    app.loader.override_backends = infer.app.loader.override_backends
    app.conf.update(result_backend=f"sqlite:///{tmp_path}/r", broker_url=broker)
    checked(app)
    assert [record.levelname for record in caplog.records] == ["WARNING"] * lines
    assert ("senders and workers elsewhere never see them" in caplog.text) is bool(lines)
