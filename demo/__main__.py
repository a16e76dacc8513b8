"""Run the main job on this machine: a server, a worker, Flower, and a few hundred requests through them."""

import json
import os
import shutil
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from demo.processes import ROOT, NotReady, Process
from demo.stack import Stack

RESULT_SECONDS = 100.0
FRAGILE = """
# The same embeddings, from a model that an input can crash: to show what becomes of such a request.
[fragile]
task = "feature-extraction"
source = "{folder}"
normalize = true

[fragile.faults]
kill = "divide by zero"
hang = "hang for ever"
"""


def write_catalogue(folder: Path) -> Path:
    """The default catalogue and one fragile model, in a file of the demo's own."""
    models = ROOT / "var" / "models"
    text = (
        (ROOT / "celery_inference" / "catalogue.toml").read_text(encoding="utf-8").replace("../var/models", str(models))
    )
    path = folder / "catalogue.toml"
    path.write_text(text + FRAGILE.format(folder=models / "all-minilm-l6-v2"), encoding="utf-8")
    return path


def sqs_calls(stack: Stack) -> dict[str, int]:
    """How often each operation was asked of the embedded server."""
    with urllib.request.urlopen(f"{stack.endpoint}/_local/calls", timeout=5.0) as response:  # noqa: S310
        calls: dict[str, int] = json.load(response)
    return calls


def run_requests(console: Console, stack: Stack, worker: Process) -> None:
    """Send all requests, wait for all results, and print samples and figures.

    Raises:
        NotReady: results are missing after RESULT_SECONDS, or the worker has ended.
    """
    from demo import report
    from demo.work import IMAGES, Sent, lines, measure_alone, send_all

    before = sqs_calls(stack)
    begun = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    sent: list[Sent] = []
    with Progress(*columns, console=console) as progress:
        expected = len(lines("texts.txt")) + len(lines("prompts.txt")) + IMAGES
        sending = progress.add_task("sent", total=expected)
        answered = progress.add_task("answered", total=expected)
        for request in send_all():
            sent.append(request)
            progress.advance(sending)
        waiting = list(sent)
        while waiting:
            if not worker.running or time.monotonic() - begun > RESULT_SECONDS:
                tail = "\n".join(worker.text().splitlines()[-20:])
                raise NotReady(f"{len(waiting)} requests have no result; the worker's log ends with:\n{tail}")
            left = [request for request in waiting if not request.result.ready()]
            progress.advance(answered, len(waiting) - len(left))
            waiting = left
            time.sleep(0.1)
    seconds = max(request.latency_seconds + request.sent_at for request in sent) - sent[0].sent_at
    after = sqs_calls(stack)
    report.samples(console, sent)
    report.figures(
        console, sent, seconds, {op: n - before.get(op, 0) for op, n in after.items() if n > before.get(op, 0)}
    )
    report.alone(console, measure_alone())


def run_bad_requests(console: Console, stack: Stack) -> None:
    """A request that is refused, one that is poison, one that crashes its model; then the dead-letter queue.

    Raises:
        NotReady: one of them did not end as it should.
    """
    from celery_inference import app, feature_extraction, infer
    from celery_inference.errors import InvalidInput
    from celery_inference.sqs.api.clients import SqsClients, SqsEndpoint
    from celery_inference.sqs.dead_letters.scan import Scan
    from celery_inference.sqs.lanes import LANES, default_lane
    from demo import report

    console.rule("Bad requests")
    try:
        feature_extraction.delay(["fine", ""])
    except InvalidInput as error:
        report.outcome(console, "refused at delay(), nothing sent", "InvalidInput", error)

    poison = app.send_task("celery_inference.feature_extraction", args=[{"not": "a text"}])
    crashing = infer.delay("fragile", "please divide by zero")
    neighbours = [infer.delay("fragile", f"an innocent neighbour, number {number}") for number in range(8)]
    for what, result in (("poison, sent past the check", poison), ("crashes its device process", crashing)):
        result.get(timeout=RESULT_SECONDS, propagate=False)
        report.outcome(console, what, result.state, result.result)
        if result.state != "FAILURE":
            raise NotReady(f"{what}: it should have failed")
    states = [neighbour.get(timeout=RESULT_SECONDS, propagate=False) and neighbour.state for neighbour in neighbours]
    report.outcome(console, "its 8 neighbours in the same batch", "SUCCESS", f"{states.count('SUCCESS')} of 8")
    if states.count("SUCCESS") != len(neighbours):
        raise NotReady("a neighbour of the crashing request did not succeed")

    endpoint = SqsEndpoint(url=stack.endpoint, region="us-east-1", access_key="local", secret_key="local")  # noqa: S106
    lane = default_lane(LANES)
    letters: Sequence[Any] = []
    until = time.monotonic() + 10.0
    while len(letters) < 2 and time.monotonic() < until:
        with Scan(SqsClients(endpoint), lane) as scan:
            letters = [held.letter for some in scan for held in some]
    report.dead_letters(console, lane.dead_letter_queue.name, letters)
    if {letter.reason.task_id for letter in letters if letter.reason} != {poison.id, crashing.id}:
        raise NotReady("the dead-letter queue should hold the poison and the crashing request, and nothing else")


def show_own_request(console: Console, stack: Stack) -> None:
    """Print the commands that send a request from another terminal."""
    from demo import report

    python = Path(sys.executable)
    report.own_request(
        console,
        str(stack.write_environment().relative_to(ROOT)),
        str(python.relative_to(ROOT) if python.is_relative_to(ROOT) else python),
    )


def main() -> int:
    """Returns the exit status: 0 when every step did what it should."""
    console = Console()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    var = ROOT / "var" / "demo"
    var.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=var))
    try:
        with Stack(folder, catalogue=write_catalogue(folder)) as stack:
            os.environ.update(stack.environment)
            with console.status("starting the SQS server"):
                stack.start_server()
            console.print(f"SQS server   {stack.endpoint}  (embedded, in {folder.relative_to(ROOT)})")
            with console.status("loading models"):
                worker = stack.start_worker()
            served = [line.split("] ")[-1] for line in worker.text().splitlines() if "models: " in line]
            console.print(f"worker       pid {worker.pid}, {served[0] if served else 'ready'}", soft_wrap=True)
            with console.status("starting Flower"):
                stack.start_flower()
            console.print(f"Flower       {stack.flower_url}/broker")
            run_requests(console, stack, worker)
            run_bad_requests(console, stack)
            console.print(f"\nFlower shows the queues at [link]{stack.flower_url}/broker[/link]")
            if sys.stdin.isatty() and sys.stdout.isatty():
                show_own_request(console, stack)
                console.print("\nEverything stays up until Ctrl-C.")
                signal.pause()
    except KeyboardInterrupt:
        console.print("ended")
    except NotReady as error:
        console.print(f"[red]The demo failed.[/red] {error}", highlight=False)
        console.print(f"The logs are in {folder.relative_to(ROOT)}.")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
