"""`celery-inference models …`: what the catalogue holds; `check` and `tune` are in tasks/commands/models.py."""

import json
from dataclasses import asdict
from typing import Any

import click

from celery_inference.client import catalogue
from celery_inference.client.app import app
from celery_inference.client.lanes import lane_of_model
from celery_inference.commands.worker_commands import GroupWithWorkerCommands
from celery_inference.specs.errors import InferenceError
from celery_inference.specs.model_spec import ModelSpec


@click.group(
    cls=GroupWithWorkerCommands,
    worker_commands={"check": "tasks.commands.models:check", "tune": "tasks.commands.models:tune"},
)
def models() -> None:
    """List, show and check the models of this application's catalogue."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def list_(as_json: bool) -> None:
    """Print each model's name, task, source and lane."""
    specs = list(read_catalogue())
    defaults = {spec.task: read_catalogue().default_for(spec.task).name for spec in specs}
    rows = [
        {
            "name": spec.name,
            "task": spec.task,
            "source": spec.source,
            "revision": spec.revision,
            "dtype": spec.dtype,
            "lane": lane_of_model(app.conf, spec).name,
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
    spec = spec_named(name)
    values = asdict(spec) | {"lane": lane_of_model(app.conf, spec).name}
    del values["allow_unsafe"], values["default_size"], values["default_tokens"]
    values["faults"] = {name: text for name, text in values["faults"].items() if text}
    if spec.endpoint is None:  # what only an endpoint has
        values = {key: value for key, value in values.items() if not key.startswith("endpoint_")}
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


def read_catalogue() -> Any:
    """The catalogue of the settings; a ClickException for one that cannot be read."""
    try:
        return catalogue.catalogue()
    except InferenceError as error:
        raise click.ClickException(str(error)) from error


def spec_named(name: str) -> ModelSpec:
    """A model of the catalogue; a ClickException for a name that it does not hold."""
    try:
        spec: ModelSpec = read_catalogue().get(name)
    except InferenceError as error:
        raise click.ClickException(str(error)) from error
    return spec
