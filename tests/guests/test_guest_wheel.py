"""The wheel: what is in it, what it does where nothing of the project's folder is, and what it leaves behind."""

import json
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from tests.support.guests import ROOT, Environment, Guest

WORKER = ("tasks", "models", "monitor", "deploy", "demo", "tests", "celeryconfig", "flowerconfig")
# The server is the wheel's, as everything here.
SENDS = f"""
import importlib.util, json, re, subprocess, sys
import boto3, celery_inference

command = [sys.executable, "-m", "celery_inference.sqs_local", "--port", "0", "--memory", "--stop-with-stdin"]
pipes = {{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}}
with subprocess.Popen(command, text=True, **pipes) as server:
    endpoint = re.search(r"ready on http://(\\S+:\\d+)", server.stdout.readline())[1]
    celery_inference.configure(broker=f"sqs://local:local@{{endpoint}}//")
    from celery_inference import feature_extraction
    result = feature_extraction.delay("hello")
    keys = {{"region_name": "us-east-1", "aws_access_key_id": "local", "aws_secret_access_key": "local"}}
    client = boto3.client("sqs", endpoint_url=f"http://{{endpoint}}", **keys)
    url = client.get_queue_url(QueueName="inference")["QueueUrl"]
    (message,) = client.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
    server.stdin.close()
print(json.dumps({{
    "sent": result.id,
    "received": json.loads(message["Body"])["headers"]["id"],
    "file": celery_inference.__file__,
    "importable": [name for name in {WORKER} if importlib.util.find_spec(name)],
}}))
"""


def test_the_wheel_is_one_package_with_all_of_its_files(wheel: Path) -> None:
    names = [PurePosixPath(name) for name in zipfile.ZipFile(wheel).namelist()]
    tops = {name.parts[0] for name in names}
    assert [top for top in tops if not top.endswith(".dist-info")] == ["celery_inference"]
    assert len(tops) == 2
    package = ROOT / "celery_inference"
    files = {
        path.relative_to(ROOT).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {str(name) for name in names if name.parts[0] == "celery_inference"} == files
    wanted = {f"celery_inference/{name}" for name in ("py.typed", "__init__.pyi", "catalogue.toml", "lanes.toml")}
    assert wanted - files == set()


def test_the_wheel_sends_where_no_worker_s_code_is(guest: Guest, installed: Environment) -> None:
    found = guest.run(SENDS)
    assert found["received"] == found["sent"]
    assert Path(found["file"]).is_relative_to(installed.folder)
    assert found["importable"] == []


def test_the_wheel_s_commands_make_list_and_check_queues(guest: Guest) -> None:
    assert "missing" in guest.call("celery-inference", "queues", "list", status=1)
    assert "inference: ready" in guest.call("celery-inference", "queues", "create")
    listed = guest.call("celery-inference", "queues", "list")
    assert "inference" in listed
    assert "missing" not in listed
    assert "as declared" in guest.call("celery-inference", "queues", "check")


def test_a_command_that_needs_a_worker_s_code_says_so(guest: Guest) -> None:
    said = guest.call("celery-inference", "models", "check", "x", status=1)
    assert said == (
        "Error: `check` needs the code of a worker, which is not installed here: run it in a clone of the project,"
        " with the extra `worker`, or in the image\n"
    )


def test_nothing_is_left_where_the_wheel_was_used_and_removed(
    wheel: Path, guest: Guest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    environment = Environment(tmp_path_factory.mktemp("removed") / "venv")

    def files() -> set[Path]:
        return set(environment.folder.rglob("*"))

    before = files()
    environment.pip("install", "--no-deps", wheel)
    program = "from celery_inference import feature_extraction; print(feature_extraction.delay('hello').id)"
    sent = guest.call(str(environment.python), "-c", program).strip()
    assert [message["id"] for message in guest.sent()] == [sent]
    environment.pip("uninstall", "--yes", "celery-inference")
    assert files() == before
    gone = "import importlib.util, json; print(json.dumps(importlib.util.find_spec('celery_inference') is None))"
    assert json.loads(guest.call(str(environment.python), "-c", gone)) is True
