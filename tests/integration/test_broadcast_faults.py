"""SQS failing under events and remote control: work goes on, nobody waits, and all comes back by itself."""

import os
import queue as queues
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from celery_inference.sqs.api.clients import SqsClients, SqsEndpoint
from celery_inference.sqs.broadcast import queue_names
from celery_inference.sqs.broadcast.inbox import Inbox
from celery_inference.sqs.broadcast.node import Node, leave_all
from celery_inference.sqs.broadcast.queue_gc import Timing
from celery_inference.sqs.broadcast.queue_names import QueueKind
from celery_inference.sqs.errors import UnavailableError
from celery_inference.sqs.queues import provisioning
from celery_inference.sqs_local.child_process import LocalServer
from tests.support import transport_app as program
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.transport_rig import Rig, rig_in

PREFIX = "bc"
QUICK = Timing(renew=1.0, slack=6.0, retry=0.2, watch=1.0)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with rig_in(tmp_path) as rig:
        provisioning.create(rig.client, rig.lane)
        yield rig
        leave_all()


@pytest.fixture
def endpoint() -> Iterator[str]:
    with LocalServer() as server:
        yield server.endpoint_url


def own_queues(client: Any, kind: str = "") -> list[str]:
    return [
        url.rpartition("/")[2] for url in client.list_queues(QueueNamePrefix=f"{PREFIX}-{kind}").get("QueueUrls", [])
    ]


def node(endpoint: str, ending: ExitStack, timing: Timing = QUICK) -> Node:
    clients = SqsClients(SqsEndpoint(endpoint, "us-east-1", "key", "secret", call_timeout_seconds=5))
    joined = Node(clients, PREFIX, timing)
    ending.callback(joined.close)
    return joined


def inbox_of(queue: str) -> tuple[Inbox, Any]:
    ready: Any = queues.SimpleQueue()
    return Inbox(queue, None, ready), ready


def wait_until(true: Any, what: str) -> None:
    until = time.monotonic() + 60
    while not true():
        assert time.monotonic() < until, what
        time.sleep(0.05)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="hang"),
        Fault(kind="status", status=503, code="ServiceUnavailable"),
        Fault(kind="status", status=403, code="AccessDenied"),
        Fault(kind="reset"),
    ],
    ids=["hang", "503", "denied", "reset"],
)
def test_a_broadcast_that_fails_from_the_start_costs_no_work(rig: Rig, fault: Fault) -> None:
    with FaultProxy(rig.port) as proxy:
        for operation in ("CreateQueue", "ListQueues", "SetQueueAttributes", "DeleteQueue"):
            proxy.fail(operation, fault)
        worker = rig.worker(port=proxy.port, broadcast_prefix=PREFIX, call_timeout_seconds=1)
        with rig.app():
            results = [program.add.delay(number, 1) for number in range(20)]
            assert [result.get(timeout=60) for result in results] == list(range(1, 21))
        rig.until(rig.empty)
        assert rig.stop(worker) == 0
    assert "Traceback" not in rig.log()


def test_a_worker_takes_commands_again_when_sqs_is_back(rig: Rig) -> None:
    with FaultProxy(rig.port) as proxy:
        proxy.fail("CreateQueue", Fault(kind="status", status=503, code="ServiceUnavailable"))
        rig.worker(port=proxy.port, broadcast_prefix=PREFIX)
        rig.until(lambda: "broadcast control failed" in rig.log())
        proxy.heal()
        rig.until(lambda: own_queues(rig.client, "control"))
        with rig.app(broadcast_prefix=PREFIX) as app:
            assert app.control.ping(timeout=30) == [{"w0@test": {"ok": "pong"}}]
            # Somebody deletes the queue: another takes its place.
            (name,) = own_queues(rig.client, "control")
            rig.client.delete_queue(QueueUrl=rig.client.get_queue_url(QueueName=name)["QueueUrl"])
            rig.until(lambda: own_queues(rig.client, "control") not in ([], [name]))
            assert app.control.ping(timeout=30) == [{"w0@test": {"ok": "pong"}}]


def test_answers_and_events_that_hang_hold_up_no_task(rig: Rig) -> None:
    with FaultProxy(rig.port) as proxy, ExitStack() as ending:
        rig.worker(port=proxy.port, broadcast_prefix=PREFIX, call_timeout_seconds=2)
        watcher = node(rig.server.endpoint_url, ending, Timing())
        inbox, ready = inbox_of("celeryev.test")
        watcher.open_events(inbox)
        watcher.announce(_wait_for_control(rig, watcher))
        ready.get(timeout=60)  # it is watched, and says so
        proxy.fail("SendMessage", Fault(kind="hang"))
        with rig.app(broadcast_prefix=PREFIX) as app:
            app.control.ping(timeout=0.2)
            results = [program.add.delay(number, 1) for number in range(20)]
            assert [result.get(timeout=60) for result in results] == list(range(1, 21))
        rig.until(rig.empty)
        proxy.heal()
        ready.get(timeout=60)  # what was held back arrives


def _wait_for_control(rig: Rig, watcher: Node) -> list[str]:
    rig.until(lambda: own_queues(rig.client, "control"))
    watcher.membership.refresh()
    return list(watcher.membership.of(QueueKind.CONTROL))


def test_rubbish_on_the_broadcast_s_queues_is_dropped(rig: Rig) -> None:
    rig.worker(broadcast_prefix=PREFIX)
    rig.until(lambda: own_queues(rig.client, "control"))
    (name,) = own_queues(rig.client, "control")
    url = rig.client.get_queue_url(QueueName=name)["QueueUrl"]
    envelope = '{{"body": {}, "content-type": "application/json", "headers": {}, "properties": {}}}'
    for body in (
        "rubbish",
        "{}",
        envelope.format('"[]"', "{}", "{}"),
        envelope.format('"5"', "{}", '{"delivery_info": {}}'),
        envelope.format('"{}"', '{"clock": "x"}', "{}"),
        envelope.format('"\\"x"', "{}", "{}"),
        envelope.format('"eA=="', '{"compression": "application/x-gzip"}', '{"body_encoding": "base64"}'),
        envelope.format('"{\\"method\\": \\"no-such\\", \\"arguments\\": {}}"', "{}", '{"watching": [5, "x"]}'),
        envelope.format('"gASVFA=="', "{}", '{"body_encoding": "base64"}').replace("application/json", "x-pickle"),
    ):
        rig.client.send_message(QueueUrl=url, MessageBody=body)
    with rig.app(broadcast_prefix=PREFIX) as app:
        rig.until(lambda: app.control.ping(timeout=2) == [{"w0@test": {"ok": "pong"}}])
        assert program.add.delay(1, 2).get(timeout=30) == 3


def test_queues_of_processes_that_are_gone_are_swept_by_those_that_live(endpoint: str) -> None:
    with ExitStack() as ending:
        dead = [node(endpoint, ending) for _ in range(3)]
        dead[0].open_control("a@gone", inbox_of("a@gone.celery.pidbox")[0])
        dead[1].open_events(inbox_of("celeryev.gone")[0])
        dead[2].replies.prepare("oid")
        living = [node(endpoint, ending) for _ in range(2)]
        for number, alive in enumerate(living):
            alive.open_control(f"{number}@alive", inbox_of(f"{number}@alive.celery.pidbox")[0])
        client = living[0]._clients.client
        wait_until(lambda: len(own_queues(client)) == 5, "all have joined")
        lost = {receive_queue.name for gone in dead for receive_queue in gone.receive_queues()}
        for gone in dead:
            gone.queue_gc.close()  # as kill -9 would: nothing is renewed, nothing is deleted
            for receive_queue in gone.receive_queues():
                receive_queue._closed = True
        wait_until(lambda: not lost & set(own_queues(client)), "the dead ones' queues are swept")
        until = time.monotonic() + 1.5 * (QUICK.renew + QUICK.slack)
        while time.monotonic() < until:
            assert len(own_queues(client)) == 2, "and those of the living are not"
            time.sleep(0.2)


def test_a_member_alone_with_the_dead_sweeps_them_all(endpoint: str) -> None:
    with ExitStack() as ending:
        alone = node(endpoint, ending)
        client = alone._clients.client
        for _ in range(12):
            for kind in QueueKind:
                client.create_queue(QueueName=queue_names.new_name(PREFIX, kind))
        client.create_queue(QueueName=f"{PREFIX}-control-not-ours")
        alone.open_control("w@alive", inbox_of("w@alive.celery.pidbox")[0])
        wait_until(lambda: len(own_queues(client)) == 2, "its own and the foreign one stay")
        assert f"{PREFIX}-control-not-ours" in own_queues(client)


def test_a_killed_worker_s_queue_is_known_to_be_silent_and_does_not_stop_others(rig: Rig) -> None:
    first, _ = rig.worker(broadcast_prefix=PREFIX), rig.worker(broadcast_prefix=PREFIX)
    rig.until(lambda: len(own_queues(rig.client, "control")) == 2)
    os.kill(first.pid, signal.SIGKILL)
    first.wait(30)
    with rig.app(broadcast_prefix=PREFIX) as app:
        rig.until(lambda: app.control.ping(timeout=2) == [{"w1@test": {"ok": "pong"}}])


def test_who_watches_meets_a_worker_that_missed_its_announcement(endpoint: str) -> None:
    with ExitStack() as ending:
        watcher, worker = node(endpoint, ending), node(endpoint, ending)
        watcher.open_events(inbox_of("celeryev.test")[0])
        inbox, ready = inbox_of("w@late.celery.pidbox")
        worker.open_control("w@late", inbox)
        source, message = ready.get(timeout=60)
        assert source is inbox
        assert message.payload["method"] == "heartbeat"
        assert worker.membership.watched


def test_a_worker_that_could_not_be_told_is_told_at_the_next_look(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as ending:
        watcher, worker = node(endpoint, ending), node(endpoint, ending)
        send, tried = watcher._send_all, threading.Event()

        def away_at_first(names: list[str], message: dict[str, Any]) -> int:
            monkeypatch.setattr(watcher, "_send_all", send)
            tried.set()
            raise UnavailableError("SendMessage", queue_names[0], "away")

        monkeypatch.setattr(watcher, "_send_all", away_at_first)
        watcher.open_events(inbox_of("celeryev.test")[0])
        inbox, ready = inbox_of("w@late.celery.pidbox")
        worker.open_control("w@late", inbox)
        assert ready.get(timeout=60)[1].payload["method"] == "heartbeat"
        assert tried.is_set()


def test_a_worker_is_met_whoever_asked_for_the_list_that_names_it(endpoint: str) -> None:
    with ExitStack() as ending:
        watcher, worker = node(endpoint, ending, replace(QUICK, watch=5.0)), node(endpoint, ending)
        watcher.open_events(inbox_of("celeryev.test")[0])
        wait_until(lambda: watcher.membership.listed, "the watcher has looked")
        inbox, ready = inbox_of("w@late.celery.pidbox")
        receive_queue = worker.open_control("w@late", inbox)
        wait_until(lambda: receive_queue.name, "it has joined")
        watcher.membership.refresh()  # as a command to another worker does, and a sweep
        assert receive_queue.name in watcher.membership.of(QueueKind.CONTROL)
        assert ready.get(timeout=60)[1].payload["method"] == "heartbeat"
