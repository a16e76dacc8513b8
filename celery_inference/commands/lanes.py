"""`celery-inference lanes …`: which lanes were stopped because too much of them failed, and taking them up again."""

import dataclasses
import json
import time
from typing import Any

import click

from celery_inference.client.expiry import losing
from celery_inference.commands.dlq.selection import as_json_option, since, troubles
from celery_inference.commands.sqs_client import client_of, one_sentence
from celery_inference.results.dead_letter_queues import index, lanes_of
from celery_inference.sqs.lanes import lane_named
from celery_inference.sqs.queues.depths import read_depths

RESUMING = "workers take it up again within seconds"


@click.group()
def lanes() -> None:
    """List lanes, and resume those that were stopped."""


@lanes.command("list")
@as_json_option
@click.pass_context
def list_(context: Any, as_json: bool) -> None:
    """Print each lane's depth, and since when and why its consumption is paused.

    Status 1 if one is, or a queue is missing.
    """
    app = context.obj.app
    with one_sentence(), troubles():
        declared = lanes_of(app)
        stops = {stop.lane: stop for stop in index(app).pauses()}
        depths = read_depths(client_of(context), declared)
    waiting = {depth.lane: depth.total for depth in depths if not depth.dead_letter_queue}
    dead = {depth.lane: depth.total for depth in depths if depth.dead_letter_queue}
    missing = {depth.lane: depth.queue for depth in depths if depth.missing}
    now = time.time()
    if as_json:
        rows = [
            {
                "lane": lane.name,
                "messages": waiting[lane.name],
                "dead_letters": dead[lane.name],
                "missing": missing.get(lane.name),
                "stopped": dataclasses.asdict(stops[lane.name]) if lane.name in stops else None,
            }
            for lane in declared
        ]
        click.echo(json.dumps(rows, indent=2))
    else:
        click.echo(f"{'lane':<24}{'messages':>10}{'dead letters':>14}  state")
        for lane in declared:
            stop = stops.get(lane.name)
            state = f"PAUSED {since(now - stop.since)} ago by {stop.by}: {stop.why}" if stop else "consumed"
            if lane.name in missing:
                state = f"queue {missing[lane.name]} is MISSING"
            click.echo(f"{lane.name:<24}{waiting[lane.name]:>10}{dead[lane.name]:>14}  {state}")
            if stop:
                click.echo(f"{'':50}those that came when it was paused: {losing(lane, stop.since)}")
    if stops or missing:
        context.exit(1)


@lanes.command()
@click.argument("name")
@as_json_option
@click.pass_context
def resume(context: Any, name: str, as_json: bool) -> None:
    """Let workers consume the lane NAME again."""
    app = context.obj.app
    with troubles():
        lane_named(name, lanes_of(app))
        resumed = index(app).resume(name)
    if as_json:
        click.echo(json.dumps({"lane": name, "resumed": resumed}))
    elif resumed:
        click.echo(f"{name}: {RESUMING}")
    else:
        click.echo(f"{name} was not paused")
