"""`celery-inference dlq …`: what failed for good, why, and sending it again."""

import json
import time
from typing import Any

import click

from celery_inference.commands.dlq.export_import import export, import_
from celery_inference.commands.dlq.redrive import drop, redrive
from celery_inference.commands.dlq.selection import (
    as_json_option,
    entry_json,
    lane_option,
    queues_of,
    selection_options,
    since,
    troubles,
)
from celery_inference.commands.dlq.show import show
from celery_inference.commands.worker_commands import GroupWithWorkerCommands
from celery_inference.results.dead_letter_queues import index
from celery_inference.sqs.dead_letters.index import Group, Selection
from celery_inference.sqs.errors import SqsError

LONGEST_ERROR = 60


@click.group(
    cls=GroupWithWorkerCommands,
    worker_commands={
        "reconcile": "tasks.commands.dlq_reconcile:reconcile",
        "replay": "tasks.commands.dlq_replay:replay",
    },
)
def dlq() -> None:
    """What failed for good and why; send it again, try it here, keep it in a file, or drop it."""


@dlq.command("list")
@selection_options
@lane_option
@click.option("--letters", is_flag=True, help="Each letter on a line, newest first, instead of groups.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Letters to print.")
@click.option("--after", help="The next page: what the page before ended with.")
@as_json_option
@click.pass_context
def list_(
    context: Any,
    /,
    *,
    lane: str | None,
    letters: bool,
    limit: int,
    after: str | None,
    as_json: bool,
    selection: Selection,
) -> None:
    """Print the dead letters, grouped by cause, error and model. Receives nothing from the queues."""
    if selection.task is not None and not letters:
        raise click.UsageError("groups are not by task: add --letters")
    with troubles():
        chosen = queues_of(context, lane)
        held = {queue.lane.name: _held(queue) for queue in chosen}
        if letters:
            _letters(context, selection, limit, after, as_json)
            return
        groups = [group for queue in chosen for group in queue.index.groups(queue.lane.name) if fits(group, selection)]
    if as_json:
        click.echo(json.dumps({"lanes": list(held.values()), "groups": [_group(group) for group in groups]}, indent=2))
        return
    for facts in held.values():
        if facts["in_queue"] is None:
            click.echo(f"{facts['lane']}: how many the queue holds is not known: {facts['trouble']}", err=True)
        elif facts["in_queue"] > facts["in_index"]:
            more = facts["in_queue"] - facts["in_index"]
            click.echo(
                f"{facts['lane']}: {more} more in the queue; `celery-inference dlq reconcile` takes them up", err=True
            )
    if not groups:
        click.echo("no dead letters")
        return
    click.echo(
        f"{'lane':<22}{'letters':>8}  {'cause':<17}{'error':<24}{'model':<22}{'oldest':>8}{'newest':>8}{'lost in':>9}"
    )
    now = time.time()
    for group in sorted(groups, key=lambda group: -group.count):
        ages = f"{since(now - group.oldest_at):>8}{since(now - group.newest_at):>8}{since(group.expires_at - now):>9}"
        model = group.model or "-"
        click.echo(f"{group.lane:<22}{group.count:>8}  {group.cause:<17}{group.error_type:<24}{model:<22}{ages}")
        click.echo(f"{'':32}{group.error[:LONGEST_ERROR]}")


def _held(queue: Any) -> dict[str, Any]:
    """What its queue and its index hold. The index answers also while SQS is away."""
    in_index = queue.index.count(Selection(lane=queue.lane.name))
    facts = {"lane": queue.lane.name, "in_queue": None, "in_index": in_index}
    try:
        return facts | {"in_queue": queue.count().total}
    except SqsError as error:
        return facts | {"trouble": str(error)}


def fits(group: Group, selection: Selection) -> bool:
    """Whether the letters of a group are of the cause, error and model that were asked for."""
    wanted = (selection.cause, selection.error_type, selection.model)
    has = (group.cause, group.error_type, group.model)
    return all(want is None or want == value for want, value in zip(wanted, has, strict=True))


def _group(group: Any) -> dict[str, Any]:
    names = ("lane", "cause", "error_type", "model", "count", "oldest_at", "newest_at", "expires_at", "error")
    return {name: getattr(group, name) for name in names}


def _letters(context: Any, selection: Any, limit: int, after: str | None, as_json: bool) -> None:
    try:
        page = index(context.obj.app).page(selection, after=after, limit=limit)
    except ValueError as error:
        raise click.UsageError(f"--after {after!r} is not what a page ended with") from error
    if as_json:
        entries = [entry_json(entry) for entry in page.entries]
        click.echo(json.dumps({"letters": entries, "after": page.after}, indent=2))
        return
    now = time.time()
    for entry in page.entries:
        age, text = since(now - entry.failed_at), f"{entry.error_type}: {entry.error}"[:LONGEST_ERROR]
        click.echo(f"{entry.id:<46}  {age:>6}  {entry.cause:<17}{entry.model or '-':<22}{text}")
    if page.after is not None:
        click.echo(f"more: --after '{page.after}'", err=True)


for command in (show, redrive, drop, export, import_):
    dlq.add_command(command)
