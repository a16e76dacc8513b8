"""`celery-inference queues …`: make the lanes, and compare what is there with what is declared."""

from typing import Any

import click

from celery_inference.commands.sqs_client import client_of, one_sentence
from celery_inference.results.dead_letter_queues import lanes_of
from celery_inference.sqs.queues import check as queue_check
from celery_inference.sqs.queues import provisioning
from celery_inference.sqs.queues.depths import read_depths


@click.group()
def queues() -> None:
    """Make, check and count the queues of this application's lanes."""


@queues.command()
@click.pass_context
def create(context: Any) -> None:
    """Create what is missing: each lane's queue and its dead-letter queue."""
    with one_sentence():
        client = client_of(context)
        for lane in lanes_of(context.obj.app):
            provisioning.create(client, lane)
            click.echo(f"{lane.queue.name}: ready, dead letters go to {lane.dead_letter_queue.name}")


@queues.command()
@click.pass_context
def check(context: Any) -> None:
    """Print each difference between the queues and their declaration; status 1 if there is one."""
    with one_sentence():
        client = client_of(context)
        differences = [
            difference for lane in lanes_of(context.obj.app) for difference in queue_check.check(client, lane)
        ]
    for difference in differences:
        click.echo(str(difference))
    if differences:
        context.exit(1)
    click.echo("as declared")


@queues.command("list")
@click.pass_context
def list_(context: Any) -> None:
    """Print how many messages each queue holds; status 1 if one is missing."""
    with one_sentence():
        depths = read_depths(client_of(context), lanes_of(context.obj.app))
    click.echo(f"{'queue':<32}{'visible':>9}{'in flight':>11}{'delayed':>9}")
    for depth in depths:
        counts = f"{depth.visible:>9}{depth.in_flight:>11}{depth.delayed:>9}"
        click.echo(f"{depth.queue:<32}{'  missing' if depth.missing else counts}")
    if any(depth.missing for depth in depths):
        context.exit(1)
