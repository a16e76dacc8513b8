"""Flower's way to SQS: the broker of the Celery application, read for its depths, and its address to show."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from celery import Celery

from monitor.depth_report import DepthReporter
from sqs.client import make_client
from sqs.depths import Depth, read_depths
from sqs.lanes import Lane
from sqs.options import read_options

if TYPE_CHECKING:
    from types_boto3_sqs.client import SQSClient


def client_of(app: Celery) -> "SQSClient":
    """A client for the application's broker; makes no call."""
    connection = app.connection_for_read()
    options = read_options(connection.transport_options)
    endpoint_url = None
    if connection.hostname:
        port = f":{connection.port}" if connection.port else ""
        endpoint_url = f"{'https' if options.is_secure else 'http'}://{connection.hostname}{port}"
    return make_client(
        endpoint_url=endpoint_url,
        region=options.region,
        access_key=connection.userid,
        secret_key=connection.password,
        read_timeout_seconds=options.call_timeout_seconds,
    )


def reporter_of(app: Celery) -> DepthReporter:
    """A reporter of the lanes that the application's transport options declare."""
    lanes = read_options(app.conf.broker_transport_options).lanes
    return DepthReporter(lanes, _DepthReader(app, lanes))


def shown_address(app: Celery) -> str:
    """The broker's URL without its user and password: neither belongs on a page or in a log."""
    parts = urlsplit(app.conf.broker_read_url or app.conf.broker_url or "")
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}"


class _DepthReader:
    """One round over all lanes. Makes its client in the caller's thread, and anew after a failure.

    A new client reads credentials again: keys that were replaced since do not keep the depths stale.
    """

    def __init__(self, app: Celery, lanes: tuple[Lane, ...]) -> None:
        self._app = app
        self._lanes = lanes
        self._client: SQSClient | None = None

    def __call__(self) -> list[Depth]:
        client, self._client = self._client or client_of(self._app), None
        depths = read_depths(client, self._lanes)
        self._client = client
        return depths
