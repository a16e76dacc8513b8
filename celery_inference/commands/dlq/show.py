"""`celery-inference dlq show ID`."""

import dataclasses
import json
import time
from typing import Any

import click

from celery_inference.commands.dlq.selection import as_json_option, lane_option, queue_of, since, the_letter, troubles
from celery_inference.redaction import shown, withheld
from celery_inference.results.access import store_of
from celery_inference.sqs.dead_letters.entry import GONE, Entry
from celery_inference.sqs.dead_letters.letter import DeadLetter
from celery_inference.sqs.errors import UndecodableError
from celery_inference.sqs.messages import envelope

_PERSONAL = ("argsrepr", "kwargsrepr")


@click.command()
@click.argument("id")
@lane_option
@as_json_option
@click.pass_context
def show(context: Any, id: str, lane: str | None, as_json: bool) -> None:
    """Print all about the letter ID, which is a letter's id, a task's id or a message's id.

    Inputs are shown as far as `inference_keep_inputs` allows.
    """
    with troubles():
        entry = the_letter(context, id, lane)
        letter = None if entry.state in GONE else queue_of(context, entry).letter(entry)
        facts = _facts(context.obj.app, entry, letter)
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    now = time.time()
    ages = {"failed_at": f"{since(now - entry.failed_at)} ago", "expires_at": f"in {since(entry.expires_at - now)}"}
    for name, value in facts.items():
        if value is None or name in ("headers", "attributes", "traceback"):
            continue
        click.echo(f"{name:<12}  {ages.get(name, value)}")
    for name in ("headers", "attributes"):
        for key, value in (facts[name] or {}).items():
            click.echo(f"{name[:-1]:<12}  {key}: {json.dumps(value, ensure_ascii=False)}")
    click.echo(facts["traceback"] or "no traceback is stored")


def _facts(app: Any, entry: Entry, letter: DeadLetter | None) -> dict[str, Any]:
    headers, inputs = _request(letter, app.conf.get("inference_keep_inputs", 0))
    return {
        **dataclasses.asdict(entry),
        "in_queue": letter is not None,
        "deliveries": letter.deliveries if letter else None,
        "inputs": inputs,
        "headers": headers,
        "attributes": letter.attributes and {name: _value(each) for name, each in letter.attributes.items()}
        if letter
        else None,
        "traceback": _traceback(app, entry) or (letter.reason.traceback if letter and letter.reason else None),
    }


def _value(attribute: dict[str, Any]) -> str:
    if "StringValue" in attribute:
        return str(attribute["StringValue"])
    return f"{len(attribute.get('BinaryValue', b''))} bytes"


def _request(letter: DeadLetter | None, characters: int) -> tuple[dict[str, Any] | None, str | None]:
    """The headers and inputs of a letter, as far as they can be read and may be shown."""
    if letter is None:
        return None, None
    try:
        message = envelope.decode(letter.body)
    except UndecodableError:
        return None, shown(letter.body, characters)
    headers = {
        name: withheld(value, characters) if name in _PERSONAL else value for name, value in message["headers"].items()
    }
    return headers, withheld(message["body"].decode("utf-8", "replace"), characters)


def _traceback(app: Any, entry: Entry) -> str | None:
    """The traceback that is stored with the outcome of the letter's generation."""
    if entry.task_id is None:
        return None
    backend, store = app.backend, store_of(app)
    past = store.past_outcomes(entry.task_id).get(entry.generation) if store is not None else None
    meta = backend.decode(past) if past is not None else backend.get_task_meta(entry.task_id)
    traceback = meta.get("traceback")
    return str(traceback) if traceback else None
