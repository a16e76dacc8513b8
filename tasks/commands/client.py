"""The SQS client of a command: the broker that the application is set to."""

from typing import Any

import click

from sqs.client import make_client


def client_of(context: click.Context) -> Any:
    """A boto3 SQS client for the broker URL of the application that `-A` named."""
    connection = context.obj.app.connection_for_read()
    endpoint = f"http://{connection.hostname}:{connection.port}" if connection.hostname else None
    return make_client(endpoint_url=endpoint, region=None, access_key=connection.userid, secret_key=connection.password)
