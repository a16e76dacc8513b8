"""SageMaker's runtime as a forwarder needs it: one batch out, one answer back, by either way; and whose fault it was.

docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpointAsync.html

    RuntimeFault
    ├── Busy        throttled, not ready, unreachable, SageMaker's own 5xx: the same again, a little later
    ├── Refused     SageMaker's own 4xx: no such endpoint, no permission, expired credentials
    └── ModelFault  the container answered with an error, wrongly, or not in time; `status` is its own, 0 for no answer
"""

import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, Protocol
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectionError,
    HTTPClientError,
    ReadTimeoutError,
)

from celery_inference.sqs.api.client_factory import make_client_of
from celery_inference.sqs.errors import NoRegionError, is_passing
from deploy.sagemaker.wire import JSON

MAX_BODY_BYTES = 6_000_000  # docs.aws.amazon.com/general/latest/gr/sagemaker.html: 6 MB a real-time invocation
MAX_ASYNC_BODY_BYTES = 1_000_000_000  # docs.aws.amazon.com/sagemaker/latest/dg/async-inference.html: 1 GB
CONTAINER_SECONDS = 60.0  # API_runtime_InvokeEndpoint: a container's time for an answer
MAX_ASYNC_SECONDS = 3_600.0  # API_runtime_InvokeEndpointAsync: InvocationTimeoutSeconds
_MARGIN_SECONDS = 5.0  # for the way there and back
_FIRST_LOOK_SECONDS, _LONGEST_LOOK_SECONDS = 0.1, 2.0
_MISSING = ("NoSuchKey", "404", "AccessDenied", "403")  # S3 says 403 for a missing key to who may not list
_BUSY = ("ThrottlingException", "ModelNotReadyException", "InternalFailure", "InternalDependencyException")


class RuntimeFault(Exception):
    """Root of what may be wrong with an invocation; one sentence."""


class Busy(RuntimeFault):
    """Not now."""


class Refused(RuntimeFault):
    """Not as we are set up."""


class ModelFault(RuntimeFault):
    """The model's container failed."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


class SageMakerEndpoint(Protocol):
    """An endpoint. Thread-safe."""

    max_body_bytes: int
    longest_seconds: float

    def invoke(self, body: bytes, attributes: str, seconds: float) -> bytes:
        """The answer's body; blocks for little more than `seconds`. Raises RuntimeFault."""


def endpoint_of(name: str, objects: str | None, concurrency: int) -> SageMakerEndpoint:
    """The endpoint of this name in the account and region of AWS's usual places. Raises Refused."""
    try:
        if objects is None:
            return RealTime(name, concurrency)
        return Asynchronous(name, objects, concurrency)
    except (BotoCoreError, NoRegionError) as error:
        raise Refused(f"AWS cannot be asked: {error}") from error


def _client(service: str, read_seconds: float, concurrency: int) -> Any:
    # Tried once: the forwarder tries again, within its batch's time.
    return make_client_of(service, read_timeout_seconds=read_seconds, attempts=1, max_connections=max(10, concurrency))


class RealTime:
    """InvokeEndpoint."""

    max_body_bytes = MAX_BODY_BYTES
    longest_seconds = CONTAINER_SECONDS - _MARGIN_SECONDS

    def __init__(self, name: str, concurrency: int) -> None:
        self._name = name
        self._client = _client("sagemaker-runtime", CONTAINER_SECONDS + _MARGIN_SECONDS, concurrency)
        # boto3's timeout is the client's; these threads are given up sooner, when a batch has less time.
        self._threads = ThreadPoolExecutor(4 * concurrency, thread_name_prefix="invoke")

    def invoke(self, body: bytes, attributes: str, seconds: float) -> bytes:
        """See Endpoint; the answer comes with the call."""
        call = self._threads.submit(self._call, body, attributes)
        try:
            return call.result(timeout=seconds)
        except FutureTimeoutError:
            raise ModelFault(f"the endpoint did not answer in {seconds:.0f} s", 0) from None

    def _call(self, body: bytes, attributes: str) -> bytes:
        answer = _asked(
            self._client.invoke_endpoint,
            EndpointName=self._name,
            ContentType=JSON,
            Accept=JSON,
            CustomAttributes=attributes,
            Body=body,
        )
        content: bytes = _asked(answer["Body"].read)
        return content


class Asynchronous:
    """InvokeEndpointAsync: the batch is an object, and so is its answer, which is looked for until it is there.

    Needs s3:PutObject, GetObject, DeleteObject and ListBucket below `objects`, and the endpoint's own role likewise.
    """

    max_body_bytes = MAX_ASYNC_BODY_BYTES
    longest_seconds = MAX_ASYNC_SECONDS

    def __init__(self, name: str, objects: str, concurrency: int, sleep: Callable[[float], None] = time.sleep) -> None:
        self._name, self._sleep = name, sleep
        place = urlsplit(objects)
        self._bucket, self._prefix = place.netloc, place.path.strip("/")
        self._client = _client("sagemaker-runtime", 10.0, concurrency)
        self._s3 = _client("s3", 30.0, concurrency)

    def invoke(self, body: bytes, attributes: str, seconds: float) -> bytes:
        """See Endpoint."""
        key = "/".join(filter(None, (self._prefix, "requests", f"{uuid.uuid4()}.json")))
        until = time.monotonic() + seconds
        _asked(self._s3.put_object, Bucket=self._bucket, Key=key, Body=body, ContentType=JSON)
        try:
            answer = _asked(
                self._client.invoke_endpoint_async,
                EndpointName=self._name,
                ContentType=JSON,
                Accept=JSON,
                CustomAttributes=attributes,
                InputLocation=f"s3://{self._bucket}/{key}",
                RequestTTLSeconds=max(60, int(seconds)),
                InvocationTimeoutSeconds=min(int(MAX_ASYNC_SECONDS), max(1, int(seconds))),
            )
            return self._await(answer["OutputLocation"], answer.get("FailureLocation"), until)
        finally:
            self._forget(self._bucket, key)

    def _await(self, output: str, failure: str | None, until: float) -> bytes:
        pause = _FIRST_LOOK_SECONDS
        while True:
            if (found := self._fetch(output)) is not None:
                return found
            if failure is not None and (found := self._fetch(failure)) is not None:
                raise ModelFault(f"the container failed: {_line(found.decode(errors='replace'))}", 500)
            if time.monotonic() >= until:
                raise ModelFault(f"no answer came to {output} in time", 0)
            self._sleep(pause)
            pause = min(_LONGEST_LOOK_SECONDS, pause * 1.5)

    def _fetch(self, location: str) -> bytes | None:
        place = urlsplit(location)
        bucket, key = place.netloc, place.path.lstrip("/")
        try:
            found: bytes = self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _MISSING:
                return None
            raise _fault(error) from error
        except (BotoCoreError, HTTPClientError) as error:
            raise _fault(error) from error
        self._forget(bucket, key)
        return found

    def _forget(self, bucket: str, key: str) -> None:
        """The bucket's lifecycle rule is for what this leaves."""
        try:
            self._s3.delete_object(Bucket=bucket, Key=key)
        except (ClientError, BotoCoreError):
            return


def _asked(function: Callable[..., Any], **parameters: Any) -> Any:
    try:
        return function(**parameters)
    except (ClientError, BotoCoreError, HTTPClientError) as error:
        raise _fault(error) from error


def _fault(error: Exception) -> RuntimeFault:
    if isinstance(error, ReadTimeoutError):
        return ModelFault("the endpoint did not answer in time", 0)
    if isinstance(error, ConnectionClosedError):
        return ModelFault("the connection was closed before an answer", 0)
    if not isinstance(error, ClientError):
        unreachable = isinstance(error, ConnectionError | HTTPClientError)
        kind = Busy if unreachable else Refused
        return kind(_line(f"{type(error).__name__}: {error}"))
    response: dict[str, Any] = dict(error.response)
    code = str(response.get("Error", {}).get("Code", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    sentence = _line(str(error))
    if code == "ModelError" or status == 424:
        own = int(response.get("OriginalStatusCode") or 0)
        said = response.get("OriginalMessage") or response.get("Error", {}).get("Message") or code
        return ModelFault(f"the container answered {own}: {_line(str(said))}" if own else _line(str(said)), own)
    if code in _BUSY or is_passing(code) or status == 429 or status >= 500:
        return Busy(sentence)
    return Refused(sentence)


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 300 else f"{line[:300]}…"
