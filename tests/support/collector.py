"""An OTLP collector on loopback: keeps the spans that it is sent, over HTTP in protobuf."""

import gzip
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Seen:
    """One span, ids in hexadecimal, times in nanoseconds."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    kind: int
    begin: int
    end: int
    attributes: dict[str, Any]
    links: list[str]
    failed: bool
    events: int


class Collector:
    """A context manager. While `hangs` is set it answers nobody."""

    def __init__(self) -> None:
        self.spans: list[Seen] = []
        self.bytes = b""
        self.hangs = threading.Event()
        self._ended = threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if collector.hangs.is_set():
                    collector._ended.wait(120)
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector._take(body)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()

    def wait_for(self, enough: Callable[[list[Seen]], bool], what: str, seconds: float = 60.0) -> list[Seen]:
        until = time.monotonic() + seconds
        while not enough(spans := list(self.spans)):
            assert time.monotonic() < until, f"{what}; there are {sorted(span.name for span in spans)}"
            time.sleep(0.1)
        return spans

    def _take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        self.bytes += body
        for resource in request.resource_spans:
            service = {pair.key: pair.value.string_value for pair in resource.resource.attributes}["service.name"]
            for scope in resource.scope_spans:
                self.spans += [_seen(service, span) for span in scope.spans]


def _seen(service: str, span: Any) -> Seen:
    return Seen(
        service,
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.kind,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in span.attributes},
        [link.span_id.hex() for link in span.links],
        span.status.code == 2,
        len(span.events),
    )
