"""`celery-inference dlq redrive | drop`: what is done with letters in their queues."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

import click

from celery_inference.commands.dlq.selection import (
    Interrupted,
    as_json_option,
    hide_bar,
    lane_option,
    letters,
    not_indexed,
    queues_of,
    selection_options,
    troubles,
)
from celery_inference.results.dead_letter_queues import lanes_of
from celery_inference.sqs.dead_letters.entry import State
from celery_inference.sqs.dead_letters.index import Progress, Selection
from celery_inference.sqs.dead_letters.queue import DeadLetterQueue
from celery_inference.sqs.dead_letters.redrive import Target
from celery_inference.sqs.lanes import lane_named

Act = Callable[[DeadLetterQueue, Callable[[Progress], None]], Progress]


def _chosen(selection: Selection, everything: bool) -> None:
    """Refuse a command that names no letters."""
    named = selection.ids or any((selection.cause, selection.error_type, selection.model, selection.task))
    if bool(named) == everything:
        raise click.UsageError("say which letters: ids, a group by --cause, --error, --model or --task, or --all")


@click.command()
@click.argument("ids", nargs=-1)
@selection_options
@lane_option
@click.option("--all", "everything", is_flag=True, help="All letters.")
@click.option("--to-lane", metavar="LANE", help="Send them to this lane instead of their own.")
@click.option("--to-task", metavar="TASK", help="Send them as this task instead of their own.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="At most so many letters a second.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@as_json_option
@click.pass_context
def redrive(
    context: Any,
    *,
    ids: tuple[str, ...],
    selection: Selection,
    lane: str | None,
    everything: bool,
    to_lane: str | None,
    to_task: str | None,
    rate: float | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Send letters back to their lane, each as a new generation: attempts from 0, an outcome of its own.

    Interrupted, the same command goes on where it stopped.
    """
    _chosen(selection, everything)
    target = Target(to_lane, to_task)
    with troubles():
        if to_lane is not None:
            lane_named(to_lane, lanes_of(context.obj.app))
        if to_task is not None:
            _warn_of_unknown(context.obj.app, to_task)
        if dry_run:
            _dry_run(queues_of(context, lane), selection, as_json)
            return

        def act(queue: DeadLetterQueue, report: Callable[[Progress], None]) -> Progress:
            return queue.redrive(selection, target, per_second=rate, report=report)

        _act(context, lane, selection, act, done="sent", as_json=as_json)


@click.command()
@click.argument("ids", nargs=-1)
@selection_options
@lane_option
@click.option("--all", "everything", is_flag=True, help="All letters.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json_option
@click.pass_context
def drop(
    context: Any,
    *,
    ids: tuple[str, ...],
    selection: Selection,
    lane: str | None,
    everything: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Delete letters for good; their outcomes stay FAILURE. `export` keeps them in a file."""
    _chosen(selection, everything)
    with troubles():
        if not yes:
            click.confirm(_question(queues_of(context, lane), selection), abort=True, err=True)

        def act(queue: DeadLetterQueue, report: Callable[[Progress], None]) -> Progress:
            return queue.drop(selection, report=report)

        _act(context, lane, selection, act, done="dropped", as_json=as_json)


def _warn_of_unknown(app: Any, task: str) -> None:
    """Workers may know it that are newer than this host; else the letters come back when the version window closes."""
    if task in app.tasks:
        return
    meant = get_close_matches(task, [name for name in app.tasks if not name.startswith("celery.")], n=1)
    hint = f" Did you mean {meant[0]}?" if meant else ""
    click.echo(f"warning: no task {task!r} is known here.{hint}", err=True)


def _question(queues: list[DeadLetterQueue], selection: Selection) -> str:
    """Names what the queues hold besides what the index knows: it is looked through, and goes as well if it fits."""
    count = sum(_counts(queues, selection).values())
    more = 0 if _knows_all(selection, count) else sum(map(not_indexed, queues))
    others = f", and what fits of {more} more that no reconciling has taken up yet," if more else ""
    return f"Delete {letters(count)}{others} for good?"


def _counts(queues: list[DeadLetterQueue], selection: Selection) -> dict[str, int]:
    """How many of these letters the index knows, by lane."""
    return {queue.lane.name: queue.index.count(replace(selection, lane=queue.lane.name)) for queue in queues}


def _knows_all(selection: Selection, count: int) -> bool:
    """Whether the letters are named by their ids, and the index has each of them."""
    return bool(selection.ids) and count >= len(selection.ids)


def _dry_run(queues: list[DeadLetterQueue], selection: Selection, as_json: bool) -> None:
    found = _counts(queues, replace(selection, state=frozenset({State.WAITING})))
    known = _knows_all(selection, sum(_counts(queues, selection).values()))
    unknown = {queue.lane.name: 0 if known else not_indexed(queue) for queue in queues}
    if as_json:
        click.echo(json.dumps({"would_send": found, "not_indexed": unknown}, indent=2))
        return
    for name, count in found.items():
        more = unknown[name]
        others = f", and what fits of {more} more; `celery-inference dlq reconcile` takes them up" if more else ""
        click.echo(f"{name}: {letters(count)} would be sent{others}")


def _act(context: Any, lane: str | None, selection: Selection, act: Act, *, done: str, as_json: bool) -> None:
    """Work through the lanes with a progress bar, and say what was done; status 1 when something was not."""
    queues = queues_of(context, lane)
    counts = _counts(queues, selection)
    known = _knows_all(selection, sum(counts.values()))
    # The index may lack letters: those queues alone are passed over that are empty, or hold none of the ids.
    busy = [queue for queue in queues if counts[queue.lane.name] or not (known or queue.count().total == 0)]
    sums, skipped = 0, dict[str, int]()
    with click.progressbar(
        length=max(1, sum(counts.values())), label=f"letters {done}", file=sys.stderr, hidden=hide_bar(as_json)
    ) as bar:
        for queue in busy:
            so_far = sums

            def report(progress: Progress, so_far: int = so_far) -> None:
                bar.update(max(0, so_far + progress.done - bar.pos))

            try:
                progress = act(queue, report)
            except KeyboardInterrupt:
                raise Interrupted(f"interrupted after {letters(bar.pos)}; the same command goes on from here") from None
            sums += progress.done
            for why, count in progress.skipped.items():
                skipped[why] = skipped.get(why, 0) + count
    for name in selection.ids:
        if not any(queue.index.find(name, queue.lane.name) for queue in queues):
            skipped[f"no dead letter has the id {name!r}"] = 1
    if as_json:
        click.echo(json.dumps({done: sums, "skipped": skipped}, indent=2))
    else:
        click.echo(f"{letters(sums)} {done}")
        for why, count in skipped.items():
            click.echo(f"{letters(count)} not {done}: {why}", err=True)
    if skipped or not sums:
        if not skipped and not as_json:
            click.echo("no dead letter fits", err=True)
        context.exit(1)
