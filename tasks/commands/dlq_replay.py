"""`celery-inference dlq replay ID`: does it still fail? Tried here, without the queue hearing of it."""

import json
from typing import Any

import click

from celery_inference.client.task import InferenceTask
from celery_inference.commands.dlq.selection import as_json_option, lane_option, queue_of, the_letter, troubles
from celery_inference.inputs.check import check_request
from celery_inference.redaction import told, traceback_of
from celery_inference.specs.errors import InferenceError
from celery_inference.sqs.claim_check.stores import redeemed
from celery_inference.sqs.dead_letters.letter import DeadLetter
from celery_inference.sqs.errors import ClaimStoreError, UndecodableError
from celery_inference.sqs.messages import envelope
from celery_inference.sqs.messages.validation import check_payload
from models.engine import Engine
from tasks.execution.claimed_inputs import redeem_now
from tasks.execution.engine_factory import devices

LOAD_SECONDS = 1_800.0  # a cold host fetches weights first
STOP_SECONDS = 10.0


@click.command()
@click.argument("id")
@lane_option
@as_json_option
@click.pass_context
def replay(context: Any, id: str, lane: str | None, as_json: bool) -> None:
    """Run the request of the letter ID here, on this host's device and the catalogue's model.

    Nothing is sent, stored or deleted. Status 0 and the result when it succeeds, 1 and the error when it fails again.
    A task that is not inference is called in this process, with whatever it does.
    """
    with troubles():
        entry = the_letter(context, id, lane)
        letter = queue_of(context, entry).letter(entry)
    if letter is None:
        raise click.ClickException(f"the letter {entry.id} is not in its queue any more ({entry.state})")
    task, args, kwargs = _request(context.obj.app, letter)
    try:
        result = (
            _infer(context.obj.app, task, args, kwargs) if isinstance(task, InferenceTask) else task(*args, **kwargs)
        )
    except Exception as error:
        keep = context.obj.app.conf.get("inference_keep_inputs", 0)
        shown, said = told(error, keep), traceback_of(error, keep)
        if isinstance(error, InferenceError):
            said = error.model_traceback or ""
        if as_json:
            report = {"id": entry.id, "ok": False, "error_type": type(error).__name__, "error": str(shown)}
            click.echo(json.dumps({**report, "traceback": said or None}))
        else:
            if said:
                click.echo(said, err=True)
            click.echo(f"it fails here, too: {type(error).__name__}: {shown}", err=True)
        context.exit(1)
    click.echo(json.dumps({"id": entry.id, "ok": True, "result": result} if as_json else result, ensure_ascii=False))


def _request(app: Any, letter: DeadLetter) -> tuple[Any, list[Any], dict[str, Any]]:
    """The task of a letter, its arguments and its keywords; a sentence when they cannot be had."""
    try:
        message = envelope.decode(letter.body)
        message = redeemed(message, app.conf.broker_transport_options.get("claim_check"))
        name = message["headers"].get("task")
        if message.get("content-type") != "application/json" or message["headers"].get("compression"):
            raise UndecodableError("its arguments are not plain JSON")
        payload = json.loads(message["body"])
        check_payload(message["headers"], payload)
        args, kwargs = payload[0], payload[1]
    except (ValueError, LookupError, TypeError, RecursionError, ClaimStoreError) as error:
        raise click.ClickException(f"it cannot be read: {error}") from error
    app.loader.import_default_modules()
    task = app.tasks.get(name)
    if task is None:
        raise click.ClickException(f"no task {name!r} is known here")
    return task, args, kwargs


def _infer(app: Any, task: InferenceTask, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Run an inference request on an engine of its own, with one model on the first device."""
    import inspect

    bound = inspect.signature(task.run).bind(*args, **kwargs).arguments
    spec = task.spec(bound.get("model"))
    rows, checked = check_request(spec, bound["inputs"], bound.get("options") or {}, bound.get("return_errors", False))
    redeem_now(app.conf, spec, rows)
    engine = Engine([spec], devices(app.conf)[:1], keep_inputs=app.conf.inference_keep_inputs)
    try:
        engine.start(LOAD_SECONDS)
        results = engine.submit(spec.name, rows.values, checked, errors=rows.errors).result(LOAD_SECONDS)
    finally:
        engine.stop(STOP_SECONDS)
    return rows.answer(results)
