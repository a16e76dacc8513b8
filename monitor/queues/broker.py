"""Flower's way to SQS: the broker of the Celery application, read for its depths, and its address to show."""

from urllib.parse import urlsplit

from celery import Celery
from click import ClickException

from celery_inference.sqs.errors import NoRegionError
from celery_inference.sqs.lanes import Lane
from celery_inference.sqs.queues.depths import Depth, read_depths
from celery_inference.sqs.transport.connection import Transport
from monitor.queues.report import DepthReporter


def reporter_of(app: Celery) -> DepthReporter:
    """A reporter of the lanes that the application's transport serves; makes no call yet.

    Raises ClickException, one sentence, when AWS is meant and no region is named: each look would say so again.
    """
    transport: Transport = app.connection_for_read().transport
    try:
        transport.clients.client  # noqa: B018 - built now, it finds the region or raises
    except NoRegionError as error:
        raise ClickException(str(error)) from error

    def read(lane: Lane) -> list[Depth]:
        # Asked for each time: the account makes new clients when credentials were replaced.
        clients = transport.clients
        depths: list[Depth] = clients.call(
            "GetQueueAttributes", lane.name, read_depths, client=clients.client, lanes=[lane], url_of=clients.queue_url
        )
        return depths

    return DepthReporter(transport.options.lanes, read)


def has_broadcast(app: Celery) -> bool:
    """Whether Celery's events and remote control are on; makes no call."""
    transport = app.connection_for_read().transport
    return isinstance(transport, Transport) and transport.options.broadcast_prefix is not None


def shown_address(app: Celery) -> str:
    """The broker's URL without its user and password: neither belongs on a page or in a log."""
    parts = urlsplit(app.conf.broker_read_url or app.conf.broker_url or "")
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}"
