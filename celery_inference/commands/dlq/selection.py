"""What the commands on dead letters share: which letters are meant, how they are printed, what goes wrong."""

import dataclasses
import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from celery_inference.results.dead_letter_queues import dead_letter_queue, index, lanes_of
from celery_inference.sqs.dead_letters.entry import Entry
from celery_inference.sqs.dead_letters.index import Selection
from celery_inference.sqs.dead_letters.queue import DeadLetterQueue
from celery_inference.sqs.errors import SqsError
from celery_inference.sqs.lanes import UnknownLaneError, lane_named
from celery_inference.sqs.messages.reason import Cause

AMBIGUOUS_SHOWN = 5

lane_option = click.option("--lane", metavar="LANE", help="Only this lane's dead letters.")
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class Interrupted(click.ClickException):
    """Ctrl-C, with how far it got."""

    exit_code = 130


@contextmanager
def troubles() -> Iterator[None]:
    """What goes wrong with SQS, the store or a file ends a command with one sentence and status 1."""
    try:
        yield
    except UnknownLaneError as error:
        raise click.UsageError(str(error)) from error
    except (SqsError, OSError) as error:
        raise click.ClickException(str(error)) from error


def selection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which letters, and hand on `selection`."""

    @click.option("--cause", type=click.Choice([str(cause) for cause in Cause]), help="Only letters with this cause.")
    @click.option("--error", "error_type", metavar="TYPE", help="Only letters with this type of error.")
    @click.option("--model", metavar="MODEL", help="Only letters for this model.")
    @click.option("--task", metavar="TASK", help="Only letters for this task.")
    @functools.wraps(command)
    def wrapped(
        *args: Any, cause: str | None, error_type: str | None, model: str | None, task: str | None, **given: Any
    ) -> Any:
        selection = Selection(
            lane=given.get("lane"),
            ids=frozenset(given.get("ids") or ()),
            cause=cause,
            error_type=error_type,
            model=model,
            task=task,
        )
        return command(*args, **given, selection=selection)

    return wrapped


def queues_of(context: Any, lane: str | None) -> list[DeadLetterQueue]:
    """The dead-letter queues of one lane, or of all that the application declares."""
    app = context.obj.app
    lanes = lanes_of(app)
    chosen = lanes if lane is None else (lane_named(lane, lanes),)
    return [dead_letter_queue(app, each) for each in chosen]


def queue_of(context: Any, entry: Entry) -> DeadLetterQueue:
    """The dead-letter queue that holds a letter."""
    return queues_of(context, entry.lane)[0]


def the_letter(context: Any, name: str, lane: str | None) -> Entry:
    """The letter that a name means: by the index, else by looking through the queues.

    Raises click.ClickException when there is none, or several different ones.
    """
    found = index(context.obj.app).find(name, lane)
    if not found:
        wanted = frozenset({name})
        for queue in queues_of(context, lane):
            found += [entry for entry, _ in queue.letters(Selection(ids=wanted))]
    if not found:
        raise click.ClickException(f"no dead letter has the id {name!r}; `celery-inference dlq list --letters` has all")
    newest = [entry for entry in found if entry.generation == found[0].generation]
    if len(newest) > 1:
        names = ", ".join(entry.id for entry in newest[:AMBIGUOUS_SHOWN])
        raise click.ClickException(f"{len(newest)} dead letters have the id {name!r}; say which: {names}")
    return found[0]


def entry_json(entry: Entry) -> dict[str, Any]:
    """An entry as JSON values."""
    return dataclasses.asdict(entry)


def not_indexed(queue: DeadLetterQueue) -> int:
    """How many letters the queue holds that the index does not know yet: what SQS moved, and the reconciler has not
    taken up."""
    return max(0, queue.count().total - queue.index.count(Selection(lane=queue.lane.name)))


def since(seconds: float) -> str:
    """A time span in its largest unit."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def letters(count: int) -> str:
    """So many letters, in words."""
    return f"{count} letter{'' if count == 1 else 's'}"


def hide_bar(as_json: bool) -> bool:
    """Whether nobody would watch a progress bar."""
    return as_json or not sys.stderr.isatty()
