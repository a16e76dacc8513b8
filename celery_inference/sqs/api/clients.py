"""What one process keeps for one SQS endpoint: its clients and the URLs of its queues.

Shared by all connections of the process, because a client costs tens of milliseconds and some MB. A child
made by fork starts with nothing of it: sockets must not be shared between processes.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from celery_inference.sqs import limits
from celery_inference.sqs.api.call_record import CallRecord
from celery_inference.sqs.api.client_factory import READ_TIMEOUT_SECONDS, make_client
from celery_inference.sqs.errors import SqsError, UnavailableError, classify, is_credentials

if TYPE_CHECKING:
    from types_boto3_sqs.client import SQSClient

RENEW_CREDENTIALS_SECONDS = 30.0  # at most so often are clients made anew for refused credentials


@dataclass(frozen=True, slots=True)
class SqsEndpoint:
    """Where an account's queues are, and who asks. Without `url` it is AWS, without keys AWS's usual places."""

    url: str | None = None
    region: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    call_timeout_seconds: float = READ_TIMEOUT_SECONDS


class SqsClients:
    """Clients and queue URLs of one endpoint. Thread-safe."""

    def __init__(self, endpoint: SqsEndpoint) -> None:
        self.endpoint = endpoint
        self.record = CallRecord()
        self._lock = threading.Lock()
        self._clients: dict[str, SQSClient] = {}
        self._renewed_at = 0.0
        self._urls: dict[str, str] = {}

    @property
    def client(self) -> "SQSClient":
        """For everything that answers at once."""
        return self._client("call", self.endpoint.call_timeout_seconds, attempts=2)

    @property
    def polling_client(self) -> "SQSClient":
        """For ReceiveMessage, whose answer may take as long as SQS's longest wait. Never tries twice itself."""
        timeout = limits.MAX_RECEIVE_WAIT_SECONDS + self.endpoint.call_timeout_seconds
        return self._client("poll", timeout, attempts=1)

    @property
    def brief_client(self) -> "SQSClient":
        """For what somebody waits for who would rather hear of a failure: 3 s for an answer."""
        return self._client("brief", min(3.0, self.endpoint.call_timeout_seconds), attempts=2)

    @property
    def ending_client(self) -> "SQSClient":
        """For what a process does at its end: never tries twice, and waits 3 s at most."""
        return self._client("end", min(3.0, self.endpoint.call_timeout_seconds), attempts=1)

    def _client(self, kind: str, read_timeout_seconds: float, attempts: int) -> "SQSClient":
        client = self._clients.get(kind)
        if client is None:
            with self._lock:
                client = self._clients.get(kind)
                if client is None:
                    endpoint = self.endpoint
                    client = self._clients[kind] = make_client(
                        endpoint_url=endpoint.url,
                        region=endpoint.region,
                        access_key=endpoint.access_key,
                        secret_key=endpoint.secret_key,
                        read_timeout_seconds=read_timeout_seconds,
                        connect_timeout_seconds=min(5.0, endpoint.call_timeout_seconds),
                        attempts=attempts,
                    )
        return client

    def call(self, operation: str, queue: str, function: Callable[..., Any], **parameters: Any) -> Any:
        """Call a client's method; raises errors of `celery_inference.sqs.errors` only, naming the operation and
        queue."""
        self.record.begin(operation, queue)
        error: SqsError | None = None
        try:
            return self._call(operation, queue, function, parameters)
        except SqsError as exc:
            error = exc
            raise
        finally:
            self.record.end(operation, queue, error)

    def _call(self, operation: str, queue: str, function: Callable[..., Any], parameters: dict[str, Any]) -> Any:
        try:
            answer = function(**parameters)
        except Exception as exc:
            if is_credentials(exc):
                self._look_for_new_credentials()
            raise classify(exc, operation, queue) from exc
        if isinstance(answer, dict) and not _is_whole(operation, answer, parameters):
            raise UnavailableError(operation, queue, "half an answer, which does not say what became of it")
        return answer

    def _look_for_new_credentials(self) -> None:
        """Drop the clients, so that the next ones read environment and files again."""
        with self._lock:
            now = time.monotonic()
            if now - self._renewed_at >= RENEW_CREDENTIALS_SECONDS:
                self._renewed_at = now
                self._clients.clear()

    def queue_url(self, queue: str) -> str:
        """The URL of a queue, asked for once in a process; blocks then, and raises like `call`."""
        url = self._urls.get(queue)
        if url is None:
            answer = self.call("GetQueueUrl", queue, self.client.get_queue_url, QueueName=queue)
            url = self._urls[queue] = str(answer["QueueUrl"])
        return url

    def forget_queue(self, queue: str) -> None:
        """Ask for this queue's URL again next time."""
        self._urls.pop(queue, None)


# What an answer always has. botocore takes one that was cut off for an empty one, and says nothing.
_ALWAYS = {
    "SendMessage": "MessageId",
    "GetQueueUrl": "QueueUrl",
    "CreateQueue": "QueueUrl",
    "GetQueueAttributes": "Attributes",
}


def _is_whole(operation: str, answer: dict[str, Any], parameters: dict[str, Any]) -> bool:
    """Whether an answer says what it must: of a batch, what became of each entry."""
    if operation.endswith("Batch"):
        return len(answer.get("Successful", ())) + len(answer.get("Failed", ())) >= len(parameters["Entries"])
    return operation not in _ALWAYS or _ALWAYS[operation] in answer


class _ProcessClients:
    """The accounts of this process."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._lock = threading.Lock()
        self._accounts: dict[SqsEndpoint, SqsClients] = {}

    def of(self, endpoint: SqsEndpoint) -> SqsClients:
        with self._lock:
            clients = self._accounts.get(endpoint)
            if clients is None:
                clients = self._accounts[endpoint] = SqsClients(endpoint)
            return clients


_process_clients = _ProcessClients()
os.register_at_fork(after_in_child=_process_clients.clear)


def clients_of(endpoint: SqsEndpoint) -> SqsClients:
    """This process's account for an endpoint. Ask each time: after a fork it is another one."""
    return _process_clients.of(endpoint)
