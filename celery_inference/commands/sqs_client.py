"""The SQS client of a command: the broker that the application is set to."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError

from celery_inference.sqs.errors import SqsError


def client_of(context: click.Context) -> Any:
    """A boto3 SQS client for the broker of the application that `-A` named."""
    return context.obj.app.connection_for_read().transport.clients.client


@contextmanager
def one_sentence() -> Iterator[None]:
    """What SQS refuses, or a server that does not answer, ends a command with one sentence and status 1."""
    try:
        yield
    except (BotoCoreError, ClientError, SqsError) as error:
        raise click.ClickException(f"SQS: {error}") from error
