"""Credentials that are replaced while a process runs: refused ones are read again from AWS's usual places."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from celery_inference.sqs.api.clients import SqsClients, SqsEndpoint
from celery_inference.sqs.errors import SqsError
from tests.support.fault_proxy import answer_of_error


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """The address of an SQS that lets the key NEW in alone, and the keys that asked."""
    keys: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            found = re.search(r"Credential=([A-Z]+)/", self.headers["Authorization"])
            keys.append(found.group(1) if found else "")
            by_query = "X-Amz-Target" not in self.headers
            kind, answer = answer_of_error("ExpiredTokenException", "is expired", by_query=by_query)
            if keys[-1] == "NEW":
                url = f"http://127.0.0.1:{self.server.server_address[1]}/1/q"
                result = f"<GetQueueUrlResult><QueueUrl>{url}</QueueUrl></GetQueueUrlResult>"
                in_xml = f"<GetQueueUrlResponse>{result}</GetQueueUrlResponse>"
                answer = in_xml if by_query else json.dumps({"QueueUrl": url})
            self.send_response(200 if keys[-1] == "NEW" else 403)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", keys
        server.shutdown()


def test_rotated_credentials_are_taken_up_without_a_restart(
    asked: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, keys = asked
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    file.write_text("[default]\naws_access_key_id = OLD\naws_secret_access_key = x\n")
    clients = SqsClients(SqsEndpoint(address, "us-east-1"))
    with pytest.raises(SqsError, match="ExpiredToken"):
        clients.queue_url("q")
    file.write_text("[default]\naws_access_key_id = NEW\naws_secret_access_key = y\n")
    assert clients.queue_url("q").endswith("/q")
    assert set(keys) == {"OLD", "NEW"}
