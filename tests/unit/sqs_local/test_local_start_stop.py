"""The command: what it says, how it starts, how it ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import closing
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

from celery_inference.sqs_local.child_process import LocalServer

ROOT = Path(__file__).resolve().parents[3]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "celery_inference.sqs_local", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)


def client_of(server: LocalServer):
    return boto3.client(
        "sqs",
        endpoint_url=server.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}),
    )


def wait_for_a_poll(endpoint: str) -> None:
    until = time.monotonic() + 30
    while True:
        with urllib.request.urlopen(f"{endpoint}/_local/calls", timeout=30) as answer:
            if json.loads(answer.read()).get("ReceiveMessage"):
                return
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_and_answers_polls(tmp_path: Path, number: int) -> None:
    command = [sys.executable, "-m", "celery_inference.sqs_local", "--port", "0", "--data", str(tmp_path / "data")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            ready = child.stdout.readline()
            assert ready.startswith("celery_inference.sqs_local: ready on http://127.0.0.1:")
            assert ready.rstrip().endswith(f"data in {tmp_path / 'data'}")
            endpoint = ready.split()[3].rstrip(",")
            server = LocalServer()
            server.endpoint_url = endpoint
            client = client_of(server)
            url = client.create_queue(QueueName="q")["QueueUrl"]
            answers: list[dict] = []
            fields = {"QueueUrl": url, "WaitTimeSeconds": 20}
            poll = threading.Thread(target=lambda: answers.append(client.receive_message(**fields)))
            poll.start()
            wait_for_a_poll(endpoint)
            started = time.monotonic()
            child.send_signal(number)
            assert child.wait(15) == 0
            assert time.monotonic() - started < 10  # the poll alone would last 20
            poll.join(10)
            assert "Messages" not in answers[0]
            assert child.stdout.read() == "celery_inference.sqs_local: stopped\n"
            assert child.stderr.read() == ""
            client.close()
        finally:
            child.kill()


def test_it_ends_quietly_when_nobody_reads_any_more() -> None:
    command = [sys.executable, "-m", "celery_inference.sqs_local", "--port", "0", "--memory"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            assert "ready" in child.stdout.readline()
            child.stdout.close()
            child.terminate()
            assert child.wait(10) == 0
            assert child.stderr.read() == ""
        finally:
            child.kill()


def test_a_full_disk_under_its_log_does_not_end_it() -> None:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "celery_inference.sqs_local", "--port", str(port), "--memory"]
    with (
        Path("/dev/full").open("wb") as full,
        subprocess.Popen(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True) as child,
    ):
        try:
            server = LocalServer()
            server.endpoint_url = f"http://127.0.0.1:{port}"
            client = client_of(server)
            until = time.monotonic() + 20
            while True:
                try:
                    client.list_queues()
                    break
                except EndpointConnectionError:
                    assert child.poll() is None, child.stderr.read()
                    assert time.monotonic() < until
                    time.sleep(0.1)
            child.terminate()
            assert child.wait(10) == 0
            assert child.stderr.read() == ""
            client.close()
        finally:
            child.kill()


def test_a_used_port_is_one_clear_error() -> None:
    with LocalServer() as server:
        ended = run("--memory", "--port", str(server.port))
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert (
        ended.stderr
        == f"celery_inference.sqs_local: cannot listen on 127.0.0.1:{server.port}: Address already in use\n"
    )


def test_a_used_data_directory_is_one_clear_error(tmp_path: Path) -> None:
    with LocalServer(data=tmp_path):
        ended = run("--data", str(tmp_path), "--port", "0")
    assert ended.returncode == 2
    assert ended.stderr == f"celery_inference.sqs_local: the data directory {tmp_path} is in use by another server\n"


def test_a_data_directory_that_cannot_be_one_is_one_clear_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    ended = run("--data", str(file), "--port", "0")
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("port", ["65536", "-1", "http"])
def test_a_port_that_is_none_is_one_clear_error(port: str) -> None:
    ended = run("--memory", f"--port={port}")
    assert ended.returncode == 2
    assert ended.stderr.endswith(f"error: argument --port: must be from 0 to 65535, not {port}\n")


def test_beyond_loopback_it_says_that_it_has_no_authentication() -> None:
    with LocalServer(arguments=["--host", "0.0.0.0"]) as server:
        assert server.said().count("\n") == 1
        assert "without any authentication" in server.said()
    with LocalServer() as server:
        assert server.said() == ""


def test_what_was_sent_is_there_after_a_restart(tmp_path: Path) -> None:
    with LocalServer(data=tmp_path) as server:
        client = client_of(server)
        url = client.create_queue(QueueName="q", tags={"a": "b"})["QueueUrl"]
        client.send_message(QueueUrl=url, MessageBody="kept", MessageGroupId="g")
        port = server.port
        client.close()
    with LocalServer(data=tmp_path, port=port) as server:
        client = client_of(server)
        assert client.list_queue_tags(QueueUrl=url)["Tags"] == {"a": "b"}
        (message,) = client.receive_message(QueueUrl=url, AttributeNames=["All"])["Messages"]
        assert message["Body"] == "kept"
        assert message["Attributes"]["MessageGroupId"] == "g"
        client.close()


def test_memory_keeps_nothing(tmp_path: Path) -> None:
    with LocalServer() as server:
        client = client_of(server)
        client.create_queue(QueueName="q")
        client.close()
    with LocalServer(port=server.port) as server:
        client = client_of(server)
        assert "QueueUrls" not in client.list_queues()
        client.close()


def test_the_server_ends_with_the_process_that_started_it() -> None:
    code = (
        "import os, sys; from celery_inference.sqs_local.child_process import LocalServer;"
        "server = LocalServer().start();"
        "print(server.port, flush=True); os._exit(9)"
    )
    parent = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30)
    port = int(parent.stdout)
    deadline = time.monotonic() + 10
    while True:
        try:
            with closing(socket.create_connection(("127.0.0.1", port), 1)):
                time.sleep(0.05)
        except OSError:
            return
        assert time.monotonic() < deadline, "the server outlived its parent"
