"""Applications that use the library as strangers do: the wheel is installed, and the project's folder is not there.

Each test's application has a folder, a process, an environment and an SQS server of its own.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3

from celery_inference.sqs_local.child_process import LocalServer

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 120
# In the place of a worker: answers every request with its own id, until its standard input ends.
ANSWERS = """
import json, os, select, sys
import boto3
from celery_inference import app

keys = {"region_name": "us-east-1", "aws_access_key_id": "local", "aws_secret_access_key": "local"}
client = boto3.client("sqs", endpoint_url=os.environ["SQS_ENDPOINT"], **keys)
url = client.get_queue_url(QueueName="inference")["QueueUrl"]
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    found = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
    for message in found.get("Messages", []):
        task_id = json.loads(message["Body"])["headers"]["id"]
        app.backend.store_result(task_id, f"answer to {task_id}", "SUCCESS")
        client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
"""


class Environment:
    """A virtual environment; what the library needs is found in the one that runs the tests, and the library is not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=SECONDS)
        self.bin = folder / "bin"
        self.python = self.bin / "python"
        (self.site,) = (folder / "lib").glob("python*/site-packages")
        # Paths in such a file are not searched for others: nothing that is installed there in place is found.
        others = [path for path in sys.path if Path(path).name == "site-packages"]
        (self.site / "dependencies.pth").write_text("\n".join(others), encoding="utf-8")

    def pip(self, *arguments: str | Path) -> None:
        """pip, for this environment."""
        command = [sys.executable, "-m", "pip", "--quiet", "--python", self.python, *arguments]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        assert ended.returncode == 0, ended.stderr


class Guest:
    """An application in a folder of its own."""

    def __init__(self, environment: Environment, server: LocalServer, folder: Path) -> None:
        self.folder = folder
        self._python = environment.python
        self._server = server
        self.environment = {
            "PATH": f"{environment.bin}:{os.environ['PATH']}",
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "CELERY_INFERENCE_BROKER_URL": f"sqs://local:local@127.0.0.1:{server.port}//",
            "CELERY_INFERENCE_STATE": str(folder / "state"),
            "SQS_ENDPOINT": server.endpoint_url,  # for programs that look at what was sent
        }

    def write(self, files: Mapping[str, str]) -> None:
        """Files of the application, by their paths in its folder."""
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def call(self, *command: str, status: int = 0, **environment: str) -> str:
        """What a command says, on both streams, having ended with this status."""
        ended = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
        )
        assert ended.returncode == status, ended.stdout
        return ended.stdout

    def run(self, program: str, *arguments: str, **environment: str) -> Any:
        """Run a program of the application, and give what its last line says in JSON."""
        self.write({"main.py": program})
        said = self.call(str(self._python), "main.py", *arguments, **environment)
        return json.loads(said.splitlines()[-1])

    def sent(self) -> list[dict[str, Any]]:
        """The headers of every request that is on the queues, once."""
        client: Any = boto3.client(
            "sqs",
            endpoint_url=self._server.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )
        found = []
        for url in client.list_queues().get("QueueUrls", []):
            now = {"QueueUrl": url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 0}
            while messages := client.receive_message(**now).get("Messages", []):
                found += [json.loads(message["Body"])["headers"] for message in messages]
        return found

    def answered(self) -> Iterator[None]:
        """While every request is answered with its id."""
        self.call("celery-inference", "queues", "create")
        with subprocess.Popen(
            [self._python, "-c", ANSWERS],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            try:
                assert child.stdout.readline() == "ready\n"
                yield
            finally:
                child.stdin.close()
                child.wait(SECONDS)
