"""Subcommands that need a worker's code, `tasks` and `models`, which the installed library does not have.

They are there wherever `celery -A tasks worker` is: in a clone of the project, and in the image.
"""

import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import click


class GroupWithWorkerCommands(click.Group):
    """A group of which some commands, by name, stand in modules of a worker: `"module:command"`."""

    def __init__(self, *args: Any, worker_commands: Mapping[str, str], **options: Any) -> None:
        super().__init__(*args, **options)
        self._worker_commands = worker_commands

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, also those that cannot be run here."""
        return sorted({*super().list_commands(ctx), *self._worker_commands})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command; for one of a worker's where there is no worker's code, one that says so."""
        place = self._worker_commands.get(cmd_name)
        if place is None:
            return super().get_command(ctx, cmd_name)
        if not _has_worker_code():
            return _missing(cmd_name)
        import_module("tasks.celery")  # the application, as its deployment sets it
        module, _, name = place.partition(":")
        return cast("click.Command", getattr(import_module(module), name))


def _has_worker_code() -> bool:
    """Whether `tasks` is ours here. Looks for files: a module of that name of somebody else's is not imported."""
    if str(Path.cwd()) not in sys.path and (Path.cwd() / "tasks" / "binding.py").is_file():
        sys.path.insert(0, str(Path.cwd()))  # as `celery -A tasks` does
    spec = find_spec("tasks")
    return any((Path(folder) / "binding.py").is_file() for folder in (spec and spec.submodule_search_locations) or ())


def _missing(name: str) -> click.Command:
    sentence = (
        f"`{name}` needs the code of a worker, which is not installed here:"
        " run it in a clone of the project, with the extra `worker`, or in the image"
    )

    def say(**_: Any) -> None:
        raise click.ClickException(sentence)

    return click.Command(
        name,
        callback=say,
        help=f"Not here: {sentence}.",
        context_settings={"ignore_unknown_options": True},
        params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
    )
