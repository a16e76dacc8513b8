"""boto3 clients with bounded timeouts, for SQS and whatever else a process asks of AWS.

botocore is imported with the first client: it is half of what a sender loads, and many never send.
"""

import os
import threading
from typing import TYPE_CHECKING, Any

from celery_inference.sqs.errors import NoRegionError

if TYPE_CHECKING:
    from botocore.loaders import Loader
    from botocore.session import Session
    from types_boto3_sqs.client import SQSClient

DEFAULT_REGION = "us-east-1"  # what boto3 needs to sign with when an endpoint of our own has no region
CONNECT_TIMEOUT_SECONDS = 5.0
READ_TIMEOUT_SECONDS = 10.0
MAX_CONNECTIONS = 64  # of one client's pool; threads beyond it wait for a connection, they do not fail

_building = threading.Lock()
_loader: "Loader | None" = None


def _after_fork() -> None:
    """A thread that is not in the child may have held it."""
    global _building  # noqa: PLW0603
    _building = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


def make_client(**given: Any) -> "SQSClient":
    """A client for SQS; takes the arguments of `make_client_of`, and raises as it does."""
    client: SQSClient = make_client_of("sqs", **given)
    receive = client.meta.service_model.operation_model("ReceiveMessage").input_shape
    if receive is not None and "MessageSystemAttributeNames" not in receive.members:
        client.meta.events.register("before-parameter-build.sqs.ReceiveMessage", _by_older_name)
    return client


def _by_older_name(params: dict[str, Any], **_: Any) -> None:
    """Ask for system attributes as botocore before 1.34.101 does, which knows their older name alone."""
    if "MessageSystemAttributeNames" in params:
        params["AttributeNames"] = params.pop("MessageSystemAttributeNames")


def make_client_of(
    service: str,
    *,
    endpoint_url: str | None = None,
    region: str | None = None,
    access_key: str | None = None,
    secret_key: str | None = None,
    read_timeout_seconds: float = READ_TIMEOUT_SECONDS,
    connect_timeout_seconds: float = CONNECT_TIMEOUT_SECONDS,
    attempts: int = 2,
    max_connections: int = MAX_CONNECTIONS,
) -> Any:
    """A client of one of AWS's services that many threads may share, whose every call ends.

    Without keys, credentials come from the usual places of AWS and are read anew. One call blocks for at
    most `attempts` times (connect + read timeout) and a pause of botocore's between the attempts. The second
    attempt is there for kept connections that the other side has closed.

    Raises NoRegionError when neither the caller nor AWS's usual places name a region and there is no endpoint, except
    for S3, which finds a bucket's region itself; and botocore's errors, such as for a profile that does not exist.
    """
    import botocore
    from botocore.config import Config

    config = Config(
        connect_timeout=connect_timeout_seconds,
        read_timeout=read_timeout_seconds,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=max_connections,
        tcp_keepalive=True,
        # botocore puts a longer one together anew for each call, twice, and that is a tenth of what a call costs.
        user_agent=f"celery-inference Botocore/{botocore.__version__}",
    )
    with _building:  # botocore's loaders are not thread-safe
        session = _session()
        found = region or session.get_config_variable("region") or (endpoint_url and DEFAULT_REGION)
        if not found and service != "s3":
            raise NoRegionError
        return session.create_client(
            service,
            region_name=found or None,
            endpoint_url=endpoint_url,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=config,
        )


def _session() -> "Session":
    """A session that reads credentials anew, with what describes AWS's services read once a process.

    That is 50 ms and 8 MB, which botocore would spend for each session.
    """
    global _loader  # noqa: PLW0603
    import botocore.session

    session = botocore.session.get_session()
    if _loader is None:
        _loader = session.get_component("data_loader")
    session.register_component("data_loader", _loader)
    return session
