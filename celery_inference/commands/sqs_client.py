"""The SQS client of a command: the broker that the application is set to."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError

from celery_inference.sqs.api.client_factory import make_client
from celery_inference.sqs.errors import SqsError


def client_of(context: click.Context) -> Any:
    """A boto3 SQS client for the broker URL of the application that `-A` named."""
    connection = context.obj.app.connection_for_read()
    endpoint = f"http://{connection.hostname}:{connection.port}" if connection.hostname else None
    return make_client(endpoint_url=endpoint, region=None, access_key=connection.userid, secret_key=connection.password)


@contextmanager
def one_sentence() -> Iterator[None]:
    """What SQS refuses, or a server that does not answer, ends a command with one sentence and status 1."""
    try:
        yield
    except (BotoCoreError, ClientError, SqsError) as error:
        raise click.ClickException(f"SQS: {error}") from error
