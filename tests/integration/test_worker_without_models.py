"""A worker that takes from no lane of requests needs no model, and leaves requests that reach it all the same."""

import sqlite3
import time
from pathlib import Path

import psutil

from celery_inference import feature_extraction
from celery_inference.sqs.api.client_factory import make_client
from celery_inference.sqs.lanes import LANES
from celery_inference.sqs.queues.depths import read_depths
from demo.stack import Stack
from tests.support.client import client_of
from tests.support.lanes import GENERAL, INFERENCE


def test_a_worker_of_the_general_lane_alone_loads_nothing_and_serves_it(tmp_path: Path, catalogue_of_one: Path) -> None:
    # No model could be loaded on this host, and none is.
    table = catalogue_of_one.read_text(encoding="utf-8")
    catalogue = tmp_path / "nothing-there.toml"
    catalogue.write_text(table.replace('source = "', 'source = "/nowhere'), encoding="utf-8")
    with Stack(tmp_path / "stack", catalogue=catalogue_of_one) as stack, client_of(stack) as app:
        stack.start_server()
        request = feature_extraction.delay("for a worker with models")
        stack.environment["CELERY_INFERENCE_CATALOGUE"] = str(catalogue)
        worker = stack.start_worker("general", "-Q", GENERAL.name)
        assert "models: none" in worker.text()
        assert "devices: none" in worker.text()
        assert psutil.Process(worker.pid).children(recursive=True) == []
        assert app.send_task("celery.accumulate", (1, 2), queue=GENERAL.name).get(timeout=30) == [1, 2]
        client = make_client(endpoint_url=stack.endpoint, region="us-east-1", access_key="local", secret_key="local")
        assert read_depths(client, [INFERENCE])[0].visible == 1
        # On a machine of its own a worker makes all lanes, for Flower and `dlq` ask for each.
        assert len(read_depths(client, LANES)) == 2 * len(LANES)
        # An operator can still send it to a lane of requests, which it then leaves to others.
        app.control.add_consumer(INFERENCE.name, reply=True)
        worker.wait_until(lambda text: "is left to other workers" in text, 30.0)
        until = time.monotonic() + 30  # the line is written before the state
        while request.state != "RETRY":
            assert time.monotonic() < until
            time.sleep(0.05)
        worker.stop()


def test_outcomes_of_revoked_requests_wait_for_their_store_beside_the_thread_that_consumes(
    tmp_path: Path, catalogue_of_one: Path
) -> None:
    with Stack(tmp_path / "stack", catalogue=catalogue_of_one) as stack, client_of(stack) as app:
        stack.start_server()
        stack.start_worker("general", "-Q", GENERAL.name)
        revoked = [f"revoked{number}" for number in range(GENERAL.own_slots)]
        app.control.revoke(revoked)
        file = stack.environment["CELERY_INFERENCE_RESULT_BACKEND"].removeprefix("sqlite:///")
        writer = sqlite3.connect(file, isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")  # from here on each write to the store hangs
        for task_id in revoked:
            app.send_task("celery.accumulate", (1,), task_id=task_id, queue=GENERAL.name)
        client = make_client(endpoint_url=stack.endpoint, region="us-east-1", access_key="local", secret_key="local")
        until = time.monotonic() + 20
        while read_depths(client, [GENERAL])[0].in_flight < len(revoked):
            assert time.monotonic() < until
            time.sleep(0.05)
        # The thread that consumes is the one that answers.
        (answer,) = app.control.ping(timeout=15, limit=1)
        assert next(iter(answer.values())) == {"ok": "pong"}
        assert read_depths(client, [GENERAL])[0].in_flight == len(revoked)
        writer.execute("ROLLBACK")
        writer.close()
        while read_depths(client, [GENERAL])[0].total:
            assert time.monotonic() < until + 40
            time.sleep(0.05)
        assert {app.AsyncResult(task_id).state for task_id in revoked} == {"REVOKED"}
