"""Lambda, as far as a function sees of it: its Runtime API over HTTP, and the poller of an event source mapping.

The function is AWS's own runtime interface client for Python in a process of its own, as its image starts it.
docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html, docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
"""

from __future__ import annotations

import base64
import json
import os
import queue
import sys
import threading
import time
import uuid
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from celery_inference.sqs.api.client_factory import make_client
from demo.processes import Process

API = "/2018-06-01/runtime"
HANDLER = "deploy.aws_lambda.entry.handle"


class FunctionError(Exception):
    """The invocation ended without an answer."""


class RuntimeApi:
    """Gives one invocation at a time to whoever asks for the next one."""

    def __init__(self) -> None:
        self._next: queue.Queue[tuple[str, float, bytes] | None] = queue.Queue()
        self._answers: queue.Queue[tuple[str, bytes]] = queue.Queue()
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                while (given := api._next.get()) is not None:
                    request_id, deadline, body = given
                    self.send_response(200)
                    self.send_header("Lambda-Runtime-Aws-Request-Id", request_id)
                    self.send_header("Lambda-Runtime-Deadline-Ms", str(int(deadline * 1000)))
                    self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:local:0:function:tests")
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                    return

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                api._answers.put((self.path.removeprefix(API), body))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def invoke(self, event: Any, seconds: float, process: Process) -> Any:
        """The function's answer. Raises FunctionError, also when its time is over or its process ends."""
        request_id = str(uuid.uuid4())
        deadline = time.time() + seconds
        self._next.put((request_id, deadline, json.dumps(event).encode()))
        while True:
            try:
                path, body = self._answers.get(timeout=0.2)
            except queue.Empty:
                if not process.running:
                    raise FunctionError(f"Runtime exited\n{process.text()[-3000:]}") from None
                if time.time() > deadline:
                    raise FunctionError(f"Task timed out after {seconds:g} seconds") from None
                continue
            if path == f"/invocation/{request_id}/response":
                return json.loads(body)
            raise FunctionError(f"{path}: {body.decode()}\n{process.text()[-3000:]}")

    def close(self) -> None:
        """End the server."""
        self._next.put(None)
        self._server.shutdown()
        self._server.server_close()


class LambdaService(AbstractContextManager["LambdaService"]):
    """One function and its mapping to a queue; `invocations` holds each event with its answer, or None if it failed."""

    def __init__(
        self,
        folder: Path,
        environment: dict[str, str],
        endpoint: str,
        *,
        timeout_seconds: float,
        access_key: str = "local",
        secret_key: str = "local",
    ) -> None:
        self.api = RuntimeApi()
        self.timeout_seconds = timeout_seconds
        self.invocations: list[tuple[Any, Any]] = []
        self._client = make_client(
            endpoint_url=endpoint, region="us-east-1", access_key=access_key, secret_key=secret_key
        )
        self._folder, self._environment = folder, environment
        self._stop = threading.Event()
        self.process = self._start()

    def _start(self) -> Process:
        environment = self._environment | {
            "AWS_LAMBDA_RUNTIME_API": self.api.address,
            "AWS_LAMBDA_FUNCTION_NAME": "tests",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "3008",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/tests",
            "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
            "AWS_DEFAULT_REGION": os.environ.get("AWS_DEFAULT_REGION", "us-east-1"),
            "CELERY_INFERENCE_BROADCAST": "off",
        }
        log = self._folder / f"lambda-{len(list(self._folder.glob('lambda-*.log')))}.log"
        return Process("lambda", [sys.executable, "-m", "awslambdaric", HANDLER], log, environment)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self.process.stop()
        self.api.close()

    def map(self, queue_name: str, *, batch_size: int = 10) -> Self:
        """From now on, invoke the function with what comes to this queue, in a thread."""
        threading.Thread(target=self._poll, args=(queue_name, batch_size), daemon=True).start()
        return self

    def _poll(self, queue_name: str, batch_size: int) -> None:
        url = self._client.get_queue_url(QueueName=queue_name)["QueueUrl"]
        while not self._stop.is_set():
            self.pass_on(queue_name, url, batch_size)

    def pass_on(self, queue_name: str, url: str, batch_size: int = 10) -> Any:
        """One receive, one invocation, one delete; the answer, None without messages or when the function failed."""
        messages = self._client.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=batch_size,
            WaitTimeSeconds=1,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        ).get("Messages", [])
        if not messages:
            return None
        event = {"Records": [record(dict(message), queue_name) for message in messages]}
        try:
            answer = self.api.invoke(event, self.timeout_seconds, self.process)
        except FunctionError as error:
            self.invocations.append((event, None))
            with (self._folder / "function-errors").open("a") as log:
                log.write(f"{error}\n")
            if not self._stop.is_set():  # a new environment, as after any error that ends one
                self.process.stop(0.0)
                self.process = self._start()
            return None
        self.invocations.append((event, answer))
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        for message in messages:
            if message["MessageId"] not in failed:
                self._client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return answer


def record(message: dict[str, Any], queue_name: str) -> dict[str, Any]:
    """A received message as Lambda writes it."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": {
            name: {
                "dataType": value["DataType"],
                "stringListValues": [],
                "binaryListValues": [],
                **({"stringValue": value["StringValue"]} if "StringValue" in value else {}),
                **({"binaryValue": base64.b64encode(value["BinaryValue"]).decode()} if "BinaryValue" in value else {}),
            }
            for name, value in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:us-east-1:000000000000:{queue_name}",
        "awsRegion": "us-east-1",
    }
