"""`celery -A tasks models …`: what the catalogue holds, and whether a model of it works on this host."""

import json
from dataclasses import asdict
from functools import partial
from typing import Any

import click

from celery_inference.specs.errors import ModelsError
from celery_inference.specs.model_spec import ModelSpec
from models import checkpoint
from models.tuning import can_be_tuned
from tasks import catalogue
from tasks.commands import model_check, model_tuning


@click.group()
def models() -> None:
    """List, show and check the models of this application's catalogue."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def list_(as_json: bool) -> None:
    """Print each model's name, task, source and lane."""
    specs = list(_catalogue())
    defaults = {spec.task: _catalogue().default_for(spec.task).name for spec in specs}
    rows = [
        {
            "name": spec.name,
            "task": spec.task,
            "source": spec.source,
            "revision": spec.revision,
            "dtype": spec.dtype,
            "lane": catalogue.lane_of(spec).name,
            "default": defaults[spec.task] == spec.name,
        }
        for spec in specs
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    width = max(len(spec.name) for spec in specs)
    kind = max(len(spec.task) for spec in specs) + len(" (default)")
    click.echo(f"{'model':<{width}}  {'task':<{kind}}  {'lane':<12}  source")
    for row in rows:
        task = f"{row['task']}{' (default)' if row['default'] else ''}"
        pinned = f" at {row['revision'][:12]}" if row["revision"] else ""
        click.echo(f"{row['name']:<{width}}  {task:<{kind}}  {row['lane']:<12}  {row['source']}{pinned}")


@models.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(name: str, as_json: bool) -> None:
    """Print everything that the catalogue says of the model NAME, the defaults included."""
    spec = _spec(name)
    values = asdict(spec) | {"lane": catalogue.lane_of(spec).name}
    del values["allow_unsafe"], values["default_size"]
    if as_json:
        click.echo(json.dumps(values, indent=2))
        return
    options = values.pop("options")
    width = max(map(len, values))
    for key, value in values.items():
        if value is not None:
            click.echo(f"{key:<{width}}  {json.dumps(value, ensure_ascii=False)}")
    for option, facts in options.items():
        said = {key: value for key, value in facts.items() if value not in (None, (), [], False)}
        click.echo(f"{f'option {option}':<{width}}  {json.dumps(said, ensure_ascii=False)}")


@models.command(
    help=f"""Load the model NAME as a worker would, run its example, and say what that took.

The model is loaded by the engine, in a device process, on the first device that a worker here would use. Status 1, with
one sentence, when it cannot be loaded, when its example fails, or when it takes more than its memory_bytes.

Weights are read from safetensors only, and no code that a model brings along is run. With --allow-unsafe, for this
check alone: {checkpoint.UNSAFE}. A worker does so for the models that CELERY_ALLOW_UNSAFE names.
"""
)
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, also for a failure.")
@click.option("--allow-unsafe", is_flag=True, help="Admit pickle files and code of the model, as said above.")
@click.pass_context
def check(context: Any, name: str, as_json: bool, allow_unsafe: bool) -> None:
    if allow_unsafe:
        click.echo(f"--allow-unsafe: {checkpoint.UNSAFE}", err=True)
    try:
        spec = catalogue.catalogue().get(name)
        report = model_check.check(spec, context.obj.app.conf, allow_unsafe=allow_unsafe)
    except ModelsError as error:
        if not as_json:
            raise click.ClickException(str(error)) from error
        click.echo(json.dumps({"model": name, "ok": False, "error": type(error).__name__, "sentence": str(error)}))
        context.exit(1)
    click.echo(json.dumps(report) if as_json else model_check.as_text(report))


@models.command()
@click.argument("names", nargs=-1)
@click.option("--seconds", default=60.0, show_default=True, help="For measuring each model, loading apart.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
@click.pass_context
def tune(context: Any, names: tuple[str, ...], seconds: float, as_json: bool) -> None:
    """Measure which batch size is best for the models NAMES here, all by default, and remember it.

    Nothing else should run on the device meanwhile. For text generation it is also measured whether requests that join
    each other beat padded batches. Workers on this host use what is remembered in CELERY_STATE, for devices like the
    first one, where the catalogue does not say `batch_size` or `continuous` itself.
    """
    conf = context.obj.app.conf
    specs = [_spec(name) for name in names] or list(_catalogue())
    reports = []
    for spec in specs:
        if not can_be_tuned(spec):
            click.echo(f"{spec.name}: {spec.task} runs one input at a time; there is nothing to choose", err=True)
            continue
        try:
            report = model_tuning.tune(spec, conf, seconds=seconds, say=partial(click.echo, err=True))
        except (ModelsError, OSError) as error:
            raise click.ClickException(str(error)) from error
        reports.append(report)
        if not as_json:
            click.echo(model_tuning.as_text(report))
    if as_json:
        click.echo(json.dumps(reports, indent=2))


def _catalogue() -> Any:
    try:
        return catalogue.catalogue()
    except ModelsError as error:
        raise click.ClickException(str(error)) from error


def _spec(name: str) -> ModelSpec:
    try:
        spec: ModelSpec = _catalogue().get(name)
    except ModelsError as error:
        raise click.ClickException(str(error)) from error
    return spec
