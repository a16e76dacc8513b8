"""The container of a SageMaker endpoint: `python -m deploy.sagemaker.container` answers `/ping` and `/invocations`.

docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
"""

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from celery_inference.specs.errors import InferenceError
from deploy.sagemaker import wire
from deploy.sagemaker.serving import Refusal, Serving
from models.engine import Engine
from tasks.autoscale.stop_flag import StopFlag
from tasks.celery import app
from tasks.execution import engine_factory

PORT = 8080  # where SageMaker asks
MAX_BODY_BYTES = 64 * 1024 * 1024
READ_SECONDS = 30.0  # for a body to arrive
LOAD_SECONDS = 1_800.0  # SageMaker's own: container_startup_health_check_timeout_in_seconds
STOP_SECONDS = 20.0  # of the 30 between SIGTERM and SIGKILL

logger = logging.getLogger("deploy.sagemaker")


class ContainerHandler(BaseHTTPRequestHandler):
    """One connection, in a thread of its own."""

    protocol_version = "HTTP/1.1"
    timeout = READ_SECONDS
    server: "ContainerServer"

    def do_GET(self) -> None:
        """`/ping`: 200 while every model is served, 503 until then and after."""
        if self.path != "/ping":
            self._answer(404, {"error": f"there is no {self.path[:100]}; there are /ping and /invocations"})
        elif self.server.serving.healthy():
            self._answer(200, {})
        else:
            self._answer(503, {"error": "not every model is served"})

    def do_POST(self) -> None:
        """`/invocations`: see deploy.sagemaker.wire."""
        body = self._body()
        if body is None:
            return
        if self.path != "/invocations":
            self._answer(404, {"error": f"there is no {self.path[:100]}; there are /ping and /invocations"})
            return
        ask = wire.read_attributes(self.headers.get("X-Amzn-SageMaker-Custom-Attributes", ""))
        try:
            answer = self.server.serving.answer(ask, body)
        except Refusal as refusal:
            self._answer(refusal.status, {"error": str(refusal)})
        except Exception:
            logger.exception("a request failed in an unexpected way")
            self._answer(500, {"error": "the container failed; its log says how"})
        else:
            self._send(200, answer)

    def _body(self) -> bytes | None:
        """The whole body, or None when the answer is given already."""
        length = self.headers.get("Content-Length", "")
        self.close_connection = True  # unless the body is read to its end
        if not length.isdecimal():
            self._answer(411, {"error": "a body needs a Content-Length"})
        elif int(length) > MAX_BODY_BYTES:
            self._answer(413, {"error": f"the body has {int(length):,} bytes; at most {MAX_BODY_BYTES:,} are taken"})
        else:
            body = self.rfile.read(int(length))
            if len(body) == int(length):
                self.close_connection = self.headers.get("Connection", "").lower() == "close"
                return body
        return None

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        self._send(status, wire.plain(content))

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", wire.JSON)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """SageMaker asks /ping each few seconds."""
        logger.debug(format, *args)


class ContainerServer(ThreadingHTTPServer):
    """Accepts while models load, so that /ping can say so."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news."""
        logger.debug("a connection failed", exc_info=True)

    def __init__(self, address: tuple[str, int], serving: Serving) -> None:
        self.serving = serving
        super().__init__(address, ContainerHandler)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM. SageMaker gives the argument `serve`."""
    parser = argparse.ArgumentParser(prog="deploy.sagemaker.container", description=__doc__)
    parser.add_argument("serve", nargs="?", choices=["serve"])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=PORT)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    stop = StopFlag()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        # Where the catalogue is a worker's, its models with an endpoint are those that are served here.
        specs = [replace(spec, endpoint=None) for spec in engine_factory.specs(app.conf)]
        engine = Engine(specs, engine_factory.devices(app.conf), on_lost=lambda _: stop.set())
        serving = Serving(engine, specs)
        server = ContainerServer((given.host, given.port), serving)
        threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
        logger.info("listening on %s:%d", given.host, server.server_port)
        engine.start(LOAD_SECONDS)
    except (InferenceError, OSError) as error:
        logger.critical("%s", error)
        return 1
    serving.begin()
    logger.info("serving %s", ", ".join(spec.name for spec in specs))
    stop.wait()
    serving.end()
    engine.stop(STOP_SECONDS)
    server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
