"""moto's DynamoDB over HTTP, one request at a time: moto checks a condition and writes without a lock between them.

`partial` lets it leave half of each batch undone, as DynamoDB does when it throttles.
"""

import io
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

BATCHES = {"BatchGetItem": "UnprocessedKeys", "BatchWriteItem": "UnprocessedItems"}


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept, as AWS keeps them

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


class MotoDynamoDB:
    """`calls` counts operations as they arrive; `fail_partly` the batches that are still to be left half done."""

    def __init__(self) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self._server = make_server("127.0.0.1", 0, self._serve, threaded=True, request_handler=_Quiet)
        self.port = self._server.server_port
        self.calls: Counter[str] = Counter()
        self.fail_partly = 0

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, name="moto", daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()

    def url(self, table: str) -> str:
        return f"dynamodb://any:any@127.0.0.1:{self.port}/{table}"

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _serve(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        with self._lock:
            self.calls[operation] += 1
            if operation not in BATCHES or self.fail_partly <= 0:
                return list(self._app(environ, start_response))
            self.fail_partly -= 1
            return self._half(operation, environ, start_response)

    def _half(self, operation: str, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        asked = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        ((table, wanted),) = asked["RequestItems"].items()
        things = wanted["Keys"] if operation == "BatchGetItem" else wanted
        kept = len(things) // 2
        whole = {**wanted} if operation == "BatchGetItem" else {}
        rest = {**whole, "Keys": things[kept:]} if whole else things[kept:]
        if kept == 0:
            answer: dict[str, Any] = {"Responses": {}} if whole else {}
        else:
            first = {**whole, "Keys": things[:kept]} if whole else things[:kept]
            body = json.dumps({**asked, "RequestItems": {table: first}}).encode()
            passed = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
            answer = json.loads(b"".join(self._app(passed, lambda *_: None)))
        data = json.dumps({**answer, BATCHES[operation]: {table: rest}}).encode()
        headers = [("Content-Type", "application/x-amz-json-1.0"), ("Content-Length", str(len(data)))]
        start_response("200 OK", headers)
        return [data]


@contextmanager
def moto_dynamodb() -> Iterator[MotoDynamoDB]:
    server = MotoDynamoDB()
    server.start()
    yield server
    server.stop()
