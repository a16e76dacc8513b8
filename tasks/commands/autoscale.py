"""`celery-inference autoscale`: as many workers as the lanes need."""

import signal
import time
from typing import Any

import click

from celery_inference.commands.sqs_client import client_of
from celery_inference.results.access import store_of
from celery_inference.results.dead_letter_queues import lanes_of
from tasks.autoscale.fleets import FleetError, fleet_of
from tasks.autoscale.policy import Goal, Policy
from tasks.autoscale.scaler import Scaler
from tasks.autoscale.stop_flag import StopFlag
from tasks.autoscale.workers import InspectedWorkers


@click.command()
@click.argument("fleet")
@click.option("--requests-per-second", type=float, required=True, help="What one worker does; Flower's figures tell.")
@click.option("--target-wait", type=float, default=60.0, show_default=True, help="Seconds a request may wait.")
@click.option("--start", type=float, default=180.0, show_default=True, help="Seconds until an ordered worker works.")
@click.option("--settle", type=float, default=30.0, show_default=True, help="Seconds before the fleet shrinks.")
@click.option("--minimum", type=int, default=0, show_default=True)
@click.option("--maximum", type=int, required=True)
@click.option("--every", type=click.FloatRange(0.5, 60), default=2.0, show_default=True, help="Seconds between looks.")
@click.option("--dry-run", is_flag=True, help="Read lanes, fleet and workers, print what is wanted, and order nothing.")
@click.option("--once", is_flag=True, help="Look once; status 1 where that failed.")
@click.pass_context
def autoscale(context: Any, /, fleet: str, **options: Any) -> None:
    """Keep FLEET as large as the lanes need.

    FLEET is asg:NAME, ecs:CLUSTER/SERVICE or kubernetes:NAMESPACE/DEPLOYMENT. Several may run, one acts.
    """
    app = context.obj.app
    try:
        goal = Goal(
            requests_per_second=options["requests_per_second"],
            target_wait_seconds=options["target_wait"],
            start_seconds=options["start"],
            settle_seconds=options["settle"],
            minimum=options["minimum"],
            maximum=options["maximum"],
        )
        driven = fleet_of(fleet)
    except (ValueError, FleetError) as error:
        raise click.ClickException(str(error)) from error
    # Tasks that are not inference have slots of their own on every worker, and need no GPU; other lanes need no worker.
    lanes = [lane for lane in lanes_of(app) if lane.consumer == "worker" and not lane.own_slots]
    scaler = Scaler(
        Policy(goal), driven, InspectedWorkers(app), sqs=client_of(context), lanes=lanes, store=store_of(app)
    )
    stop = StopFlag()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def say(text: str) -> None:
        click.echo(f"{time.strftime('%H:%M:%S')} {text}")
        if options["once"]:
            stop.set()

    looked = scaler.run(stop, options["every"], say, dry_run=options["dry_run"])
    if options["once"] and not looked:
        context.exit(1)
