"""Events and remote control over SQS alone: real workers and a real client, on the embedded server."""

import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from celery import Celery

from celery_inference.sqs.broadcast.node import leave_all
from celery_inference.sqs.errors import BroadcastOffError
from celery_inference.sqs.queues import provisioning
from tests.support import transport_app as program
from tests.support.transport_rig import ROOT, Rig, rig_in

PREFIX = "bc"


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Rig]:
    with rig_in(tmp_path) as rig:
        provisioning.create(rig.client, rig.lane)
        yield rig
        leave_all()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Two workers, w0@test and w1@test."""
    with rig_in(tmp_path_factory.mktemp("pair")) as rig:
        for lane in rig.lanes[:2]:
            provisioning.create(rig.client, lane)
        for _ in range(2):
            rig.worker(broadcast_prefix=PREFIX)
        rig.until(lambda: len(own_queues(rig)) == 2)
        yield rig
        leave_all()


def own_queues(rig: Rig, kind: str = "") -> list[str]:
    urls = rig.client.list_queues(QueueNamePrefix=f"{PREFIX}-{kind}").get("QueueUrls", [])
    return [url.rpartition("/")[2] for url in urls]


def calls(rig: Rig) -> Counter[str]:
    with urllib.request.urlopen(f"{rig.server.endpoint_url}/_local/calls", timeout=30) as answer:
        return Counter(json.loads(answer.read()))


@contextmanager
def client(rig: Rig, prefix: str | None = PREFIX) -> Iterator[Celery]:
    with rig.app(broadcast_prefix=prefix) as app:
        yield app


@contextmanager
def watching(app: Celery) -> Iterator[list[dict[str, Any]]]:
    """The events that arrive meanwhile, each with the time of its arrival."""
    events: list[dict[str, Any]] = []
    receivers: list[Any] = []

    def watch() -> None:
        with app.connection() as connection:
            receiver = app.events.Receiver(connection, handlers={"*": events.append})
            receivers.append(receiver)
            receiver.capture(limit=None, timeout=None, wakeup=True)

    thread = Thread(target=watch)
    thread.start()
    try:
        yield events
    finally:
        while not receivers:
            time.sleep(0.01)
        receivers[0].should_stop = True
        thread.join(30)
        assert not thread.is_alive()


def test_what_is_asked_of_workers_is_answered_by_all_before_the_time_is_over(pair: Rig) -> None:
    with client(pair) as app:
        before = time.monotonic()
        inspect = app.control.inspect(timeout=30)
        assert inspect.ping() == {"w0@test": {"ok": "pong"}, "w1@test": {"ok": "pong"}}
        for what in ("active", "reserved", "stats", "registered", "active_queues", "conf", "scheduled", "revoked"):
            assert set(getattr(inspect, what)()) == {"w0@test", "w1@test"}, what
        assert time.monotonic() - before < 30, "not one of them waited until its time was over"
        assert [queue["name"] for queue in inspect.active_queues()["w0@test"]] == ["work"]
        assert "tests.support.transport_app.add" in inspect.registered()["w1@test"]


def test_a_command_for_one_worker_is_sent_to_that_one(pair: Rig) -> None:
    with client(pair) as app:
        app.control.ping(timeout=30)
        before = calls(pair)
        assert app.control.ping(destination=["w1@test"], timeout=30) == [{"w1@test": {"ok": "pong"}}]
        assert (calls(pair) - before)["SendMessage"] == 2, "the question and the answer"
        assert app.control.ping(destination=["nobody@test"], timeout=30) == []
        # Nobody knows how many will answer to a pattern, so that all of the timeout is waited for.
        one = lambda: app.control.ping(pattern="w0@*", matcher="glob", timeout=2)  # noqa: E731
        pair.until(lambda: one() == [{"w0@test": {"ok": "pong"}}])


def test_consumers_are_added_and_cancelled_and_rates_are_limited(pair: Rig) -> None:
    with client(pair) as app:
        added = app.control.add_consumer("bulk", destination=["w0@test"], reply=True, timeout=30)
        assert "ok" in added[0]["w0@test"]
        names = lambda: {queue["name"] for queue in app.control.inspect(timeout=30).active_queues()["w0@test"]}  # noqa: E731
        assert names() == {"work", "bulk"}
        app.control.cancel_consumer("bulk", destination=["w0@test"], reply=True, timeout=30)
        assert names() == {"work"}
        limited = app.control.rate_limit(f"{program.__name__}.note", "7/m", reply=True, timeout=30)
        assert all("ok" in answer for worker in limited for answer in worker.values())
        app.control.rate_limit(f"{program.__name__}.note", 0, reply=True, timeout=30)


def test_a_task_revoked_before_its_start_never_runs(pair: Rig) -> None:
    with client(pair) as app:
        task = program.note.apply_async(("revoked",), countdown=10)
        other = program.note.apply_async(("kept",), countdown=10)
        app.control.revoke(task.id, reply=True, timeout=30)
        pair.until(lambda: any(line.startswith("kept") for line in pair.notes()))
        pair.until(pair.empty)
        assert not any(line.startswith("revoked") for line in pair.notes()), other.id


def test_events_of_tasks_are_sent_while_somebody_watches_and_then_no_more(pair: Rig) -> None:
    with client(pair) as app:
        with watching(app) as events:
            pair.until(lambda: {event["hostname"] for event in events} == {"w0@test", "w1@test"})
            results = [program.add.delay(number, 1) for number in range(10)]
            assert [result.get(timeout=30) for result in results] == list(range(1, 11))
            pair.until(lambda: Counter(event["type"] for event in events)["task-succeeded"] == 10)
            kinds = Counter(event["type"] for event in events)
            assert kinds["task-received"] == kinds["task-started"] == 10
            beats = [event for event in events if event["type"] == "worker-heartbeat"]
            assert {event["freq"] for event in beats} == {60.0}, "nobody seems gone before the next one"
        pair.until(lambda: not own_queues(pair, "events"))

        def sent_for_a_task() -> int:
            before = calls(pair)
            program.add.delay(1, 1).get(timeout=30)
            time.sleep(0.6)
            return (calls(pair) - before)["SendMessage"]

        # Each worker notes with the first event that finds nobody.
        pair.until(lambda: [sent_for_a_task() for _ in range(3)] == [1, 1, 1])


def test_events_of_what_is_sent_together_are_sent_too(pair: Rig) -> None:
    with client(pair) as app, watching(app) as events:
        pair.until(lambda: any(event["type"] == "worker-heartbeat" for event in events))
        app.conf.task_send_sent_event = True
        with app.producer_pool.acquire(block=True) as producer, producer.batch():
            sent = {app.send_task("tests.support.transport_app.add", (1, 2), producer=producer).id for _ in range(3)}
        pair.until(lambda: sent <= {event["uuid"] for event in events if event["type"] == "task-sent"})
        pair.until(lambda: sent <= {event["uuid"] for event in events if event["type"] == "task-succeeded"})


def test_a_worker_that_starts_is_seen_by_who_watches_and_leaves_no_queue_behind(fresh: Rig) -> None:
    with client(fresh) as app, watching(app) as events:
        fresh.until(lambda: own_queues(fresh, "events"))
        worker = fresh.worker(broadcast_prefix=PREFIX)
        fresh.until(lambda: "worker-online" in [event["type"] for event in events])
        assert fresh.stop(worker) == 0
        fresh.until(lambda: "worker-offline" in [event["type"] for event in events])
        assert own_queues(fresh, "control") == []
    assert own_queues(fresh, "events") == []


def test_a_shutdown_by_command_ends_a_worker_cleanly(fresh: Rig) -> None:
    worker = fresh.worker(broadcast_prefix=PREFIX)
    fresh.until(lambda: own_queues(fresh, "control"))
    with client(fresh) as app:
        app.control.shutdown()
        assert worker.wait(60) == 0
        assert own_queues(fresh, "control") == []
        assert app.control.inspect(timeout=5).ping() is None
    leave_all()
    assert own_queues(fresh) == []


def celery_command(rig: Rig, *arguments: str, prefix: str = PREFIX) -> subprocess.Popen[str]:
    environment = {
        "PATH": "/usr/bin:/bin",
        "CELERY_INFERENCE_BROKER_URL": rig.broker_url,
        "CELERY_INFERENCE_BROADCAST": prefix,
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, "-m", "celery", "-A", "tasks", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_the_command_line_asks_and_watches_and_cleans_up(pair: Rig) -> None:
    dump = celery_command(pair, "events", "--dump")
    asked = celery_command(pair, "inspect", "ping", "--timeout", "30", "--json")
    output, _ = asked.communicate(timeout=120)
    assert asked.returncode == 0, output
    assert json.loads(output) == {"w0@test": {"ok": "pong"}, "w1@test": {"ok": "pong"}}
    assert dump.stdout is not None
    line = next(line for line in dump.stdout if "heartbeat" in line)
    assert "@test" in line
    dump.send_signal(signal.SIGINT)
    dump.communicate(timeout=60)
    pair.until(lambda: not own_queues(pair, "events"))


def test_switched_off_nothing_is_listed_or_made(fresh: Rig) -> None:
    fresh.worker()
    with client(fresh, None) as app:
        assert program.add.delay(1, 2).get(timeout=30) == 3
        with pytest.raises(BroadcastOffError, match="CELERY_INFERENCE_BROADCAST"):
            app.control.inspect(timeout=1).ping()
    assert calls(fresh)["ListQueues"] == 0
    assert calls(fresh)["CreateQueue"] == 2 * len(fresh.lanes), "the lanes and no others"
    off = celery_command(fresh, "inspect", "ping", prefix="off")
    output, _ = off.communicate(timeout=60)
    assert off.returncode != 0
    assert "switched off" in output
    assert calls(fresh)["ListQueues"] == 0
