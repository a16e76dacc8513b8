"""Flower's way to SQS: the broker of the Celery application, as a client and as an address to show."""

from typing import Any
from urllib.parse import urlsplit

from celery import Celery

from sqs.client import make_client


def client_of(app: Celery) -> Any:
    """A boto3 SQS client for the application's broker; opens no connection yet."""
    connection = app.connection_for_read()
    options = connection.transport_options
    endpoint_url = options.get("endpoint_url")
    if endpoint_url is None and connection.hostname:
        scheme = "https" if options.get("is_secure") else "http"
        port = f":{connection.port}" if connection.port else ""
        endpoint_url = f"{scheme}://{connection.hostname}{port}"
    return make_client(
        endpoint_url=endpoint_url,
        region=options.get("region"),
        access_key=connection.userid,
        secret_key=connection.password,
    )


def shown_address(app: Celery) -> str:
    """The broker's URL without its user and password: neither belongs on a page or in a log."""
    parts = urlsplit(app.conf.broker_read_url or app.conf.broker_url or "")
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}"
