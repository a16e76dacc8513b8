"""SageMaker's runtime as a client sees it, over HTTP on loopback, in front of a real container.

Answers and errors as botocore's model of `sagemaker-runtime` has them: a container's error becomes a ModelError (424)
with its status and body. `faults` are met by the next calls, one each.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

import boto3

CONTAINER_SECONDS = 60
ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
# status, error type, other fields
ERRORS: dict[str, tuple[int, str, dict[str, Any]]] = {
    "throttle": (400, "ThrottlingException", {}),
    "too many": (429, "TooManyRequests", {}),
    "not ready": (429, "ModelNotReadyException", {}),
    "unavailable": (503, "ServiceUnavailable", {}),
    "failure": (500, "InternalFailure", {}),
    "dependency": (530, "InternalDependencyException", {}),
    "validation": (400, "ValidationError", {}),
    "denied": (403, "AccessDeniedException", {}),
    "model 400": (424, "ModelError", {"OriginalStatusCode": 400, "OriginalMessage": "bad input"}),
    "model 500": (424, "ModelError", {"OriginalStatusCode": 500, "OriginalMessage": "worker died"}),
    "model timeout": (424, "ModelError", {"OriginalMessage": "Your invocation timed out"}),
}


class SageMakerRuntime:
    """`endpoints` are containers' addresses by name. With `s3`, invocations through objects are answered, too."""

    def __init__(self, endpoints: dict[str, str], *, s3: str | None = None) -> None:
        self.endpoints = endpoints
        self.faults: deque[str] = deque()
        self.poison: Callable[[bytes], str | None] = lambda _: None  # a fault for a body, whenever it comes
        self.bodies: list[Any] = []
        self.hung = threading.Event()
        self._s3 = s3
        runtime = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                _, _, endpoint, how = urlsplit(self.path).path.split("/")
                if how == "async-invocations":
                    runtime._later(self, endpoint)
                else:
                    runtime._now(self, endpoint, body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.hung.set()
        self._server.shutdown()
        self._server.server_close()

    def environment(self) -> dict[str, str]:
        """What a client needs."""
        return {
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": self.url,
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_DEFAULT_REGION": "us-east-1",
            **({"AWS_ENDPOINT_URL_S3": self._s3} if self._s3 else {}),
        }

    def _now(self, handler: BaseHTTPRequestHandler, endpoint: str, body: bytes) -> None:
        self.bodies.append(json.loads(body))
        fault = self.faults.popleft() if self.faults else self.poison(body)
        if fault == "hang":
            self.hung.wait(120)
            handler.close_connection = True
            return
        if fault == "close":
            handler.close_connection = True
            return
        if fault == "garbage":
            _send(handler, 200, b"<html>")
            return
        if fault is not None:
            _refuse(handler, *ERRORS[fault])
            return
        if endpoint not in self.endpoints:
            _refuse(handler, 400, "ValidationError", {"Message": f"Endpoint {endpoint} of account 0 not found."})
            return
        status, answer = self._container(endpoint, body, handler.headers)
        if status != 200:
            said = {"OriginalStatusCode": status, "OriginalMessage": answer.decode(), "LogStreamArn": "arn:aws:logs"}
            _refuse(handler, 424, "ModelError", said)
            return
        _send(handler, 200, answer)

    def _container(self, endpoint: str, body: bytes, headers: Any) -> tuple[int, bytes]:
        request = urllib.request.Request(f"{self.endpoints[endpoint]}/invocations", data=body, method="POST")
        for name in ("Content-Type", "Accept", ATTRIBUTES):
            if headers.get(name):
                request.add_header(name, headers[name])
        try:
            with urllib.request.urlopen(request, timeout=CONTAINER_SECONDS) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except OSError as error:
            return 500, str(error).encode()

    def _later(self, handler: BaseHTTPRequestHandler, endpoint: str) -> None:
        headers = dict(handler.headers.items())
        place = urlsplit(handler.headers["X-Amzn-SageMaker-InputLocation"])
        bucket, name = place.netloc, uuid.uuid4().hex
        s3 = boto3.client("s3", endpoint_url=self._s3, region_name="us-east-1")
        body = s3.get_object(Bucket=bucket, Key=place.path.lstrip("/"))["Body"].read()
        self.bodies.append(json.loads(body))

        def work() -> None:
            time.sleep(0.2)
            status, answer = self._container(endpoint, body, headers)
            folder = "output" if status == 200 else "failure"
            s3.put_object(Bucket=bucket, Key=f"{folder}/{name}.out", Body=answer)

        threading.Thread(target=work, daemon=True).start()
        locations = {
            "X-Amzn-SageMaker-OutputLocation": f"s3://{bucket}/output/{name}.out",
            "X-Amzn-SageMaker-FailureLocation": f"s3://{bucket}/failure/{name}.out",
        }
        _send(handler, 202, b'{"InferenceId": "one"}', locations)


def _refuse(handler: BaseHTTPRequestHandler, status: int, kind: str, fields: dict[str, Any]) -> None:
    content = {"Message": f"a {kind}", **fields}
    _send(handler, status, json.dumps(content).encode(), {"x-amzn-ErrorType": kind})


def _send(handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)
