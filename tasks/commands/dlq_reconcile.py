"""`celery-inference dlq reconcile`: makes the index of dead letters say what their queues hold."""

import json
from typing import Any

import click

from celery_inference.commands.dlq.selection import as_json_option, lane_option, queues_of, troubles
from tasks.dead_letters.reconciler import LaneReconciler


@click.command()
@lane_option
@as_json_option
@click.pass_context
def reconcile(context: Any, lane: str | None, as_json: bool) -> None:
    """Make the index say what the queues hold, as workers do each minute; what has attempts to spare goes back."""
    with troubles():
        done = {}
        for queue in queues_of(context, lane):
            reconciled = LaneReconciler(context.obj.app, queue).run(wait_seconds=60.0, forget=True)
            done[queue.lane.name] = {
                "taken_up": reconciled.taken_up,
                "brought_back": reconciled.brought_back,
                "deleted": reconciled.deleted,
            }
    if as_json:
        click.echo(json.dumps(done, indent=2))
        return
    for name, counts in done.items():
        click.echo(f"{name}: " + ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in counts.items()))
