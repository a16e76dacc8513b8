"""`celery-inference models check | tune`: whether a model works on this host, and how it works best."""

import json
from functools import partial
from typing import Any

import click

from celery_inference.client import catalogue
from celery_inference.commands.models import read_catalogue, spec_named
from celery_inference.specs.errors import InferenceError
from models import checkpoint
from models.tuning import can_be_tuned
from tasks.commands import model_check, model_tuning


@click.command(
    help=f"""Load the model NAME as a worker would, run its example, and say what that took.

The model is loaded by the engine, in a device process, on the first device that a worker here would use. Status 1, with
one sentence, when it cannot be loaded, when its example fails, or when it takes more than its memory_bytes.

Weights are read from safetensors only, and no code that a model brings along is run. With --allow-unsafe, for this
check alone: {checkpoint.UNSAFE}. A worker does so for the models that CELERY_INFERENCE_ALLOW_UNSAFE names.
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
    except InferenceError as error:
        if not as_json:
            raise click.ClickException(str(error)) from error
        click.echo(json.dumps({"model": name, "ok": False, "error": type(error).__name__, "sentence": str(error)}))
        context.exit(1)
    click.echo(json.dumps(report) if as_json else model_check.as_text(report))


@click.command()
@click.argument("names", nargs=-1)
@click.option("--seconds", default=60.0, show_default=True, help="For measuring each model, loading apart.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
@click.pass_context
def tune(context: Any, names: tuple[str, ...], seconds: float, as_json: bool) -> None:
    """Measure which batch size is best for the models NAMES here, all by default, and remember it.

    Nothing else should run on the device meanwhile. For text generation it is also measured whether requests that join
    each other beat padded batches. Workers on this host use what is remembered in CELERY_INFERENCE_STATE, for devices
    like the first one, where the catalogue does not say `batch_size` or `continuous` itself.
    """
    conf = context.obj.app.conf
    specs = [spec_named(name) for name in names] or list(read_catalogue())
    reports = []
    for spec in specs:
        if not can_be_tuned(spec):
            click.echo(f"{spec.name}: {spec.task} runs one input at a time; there is nothing to choose", err=True)
            continue
        try:
            report = model_tuning.tune(spec, conf, seconds=seconds, say=partial(click.echo, err=True))
        except (InferenceError, OSError) as error:
            raise click.ClickException(str(error)) from error
        reports.append(report)
        if not as_json:
            click.echo(model_tuning.as_text(report))
    if as_json:
        click.echo(json.dumps(reports, indent=2))
