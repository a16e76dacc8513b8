"""`celery-inference dlq export | import FILE`: dead letters as JSON lines, byte for byte."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from celery_inference.commands.dlq.selection import (
    Interrupted,
    as_json_option,
    hide_bar,
    lane_option,
    letters,
    queues_of,
    selection_options,
    troubles,
)
from celery_inference.sqs.dead_letters.export_import import DeadLetterFileError, Exporter, Importer
from celery_inference.sqs.dead_letters.index import Selection


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@selection_options
@lane_option
@as_json_option
@click.pass_context
def export(context: Any, file: Path, selection: Selection, lane: str | None, as_json: bool) -> None:
    """Write letters to FILE, a JSON object a line; they stay where they are.

    Interrupted, the same command goes on with FILE.part.
    """
    with troubles():
        if file.exists():
            raise click.ClickException(f"{file} exists already; name another file")
        with Exporter(file) as exporter:
            try:
                for queue in queues_of(context, lane):
                    count = queue.count().total
                    if not count:
                        continue
                    with click.progressbar(
                        queue.letters(selection),
                        length=count,
                        label=queue.lane.name,
                        file=sys.stderr,
                        hidden=hide_bar(as_json),
                    ) as found:
                        for entry, letter in found:
                            exporter.write(entry, letter)
            except KeyboardInterrupt:
                raise Interrupted(f"interrupted; the same command goes on with {exporter.part}") from None
            exporter.finish()
    if as_json:
        click.echo(json.dumps({"exported": exporter.count, "file": str(file)}))
    else:
        click.echo(f"{letters(exporter.count)} written to {file}")


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--lane", metavar="LANE", help="Put them into this lane's dead-letter queue instead of their own's.")
@click.option(
    "--queue", metavar="QUEUE", help="Send them to this queue, whatever it is, as the messages that they are."
)
@as_json_option
@click.pass_context
def import_(context: Any, file: Path, lane: str | None, queue: str | None, as_json: bool) -> None:
    """Send the letters in FILE to dead-letter queues, or to any queue.

    Letters that are in their queue already are passed over. Interrupted, the same command goes on where it stopped.
    """
    if lane and queue:
        raise click.UsageError("--lane and --queue exclude each other")
    with troubles():
        queues = {each.lane.name: each for each in queues_of(context, lane)}
        importer = Importer(file, queues, lane=lane, queue=queue)
        with click.progressbar(length=importer.size, label="import", file=sys.stderr, hidden=hide_bar(as_json)) as bar:
            try:
                for position in importer.steps():
                    bar.update(max(0, position - bar.pos))
            except KeyboardInterrupt:
                raise Interrupted(f"interrupted after {letters(importer.sent)}; the same command goes on") from None
            except DeadLetterFileError as error:
                raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps({"imported": importer.sent, "there_already": importer.passed_over}))
    else:
        click.echo(f"{letters(importer.sent)} imported, {importer.passed_over} were there already")
