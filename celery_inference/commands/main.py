"""The console script `celery-inference`: what operators ask and do. `celery -A tasks …` stays Celery's own.

Every command gets `context.obj.app`, the application of the settings. Errors of ours end it with one sentence.
"""

from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import click

from celery_inference.commands.dlq.group import dlq
from celery_inference.commands.lanes import lanes
from celery_inference.commands.models import models
from celery_inference.commands.queues import queues
from celery_inference.commands.worker_commands import GroupWithWorkerCommands
from celery_inference.specs.errors import InferenceError


class OneSentence(GroupWithWorkerCommands):
    """A group whose commands end with status 1 and a sentence where they would raise an error of ours."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; raises ClickException for an InferenceError."""
        try:
            return super().invoke(ctx)
        except click.ClickException:
            raise
        except InferenceError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=OneSentence, worker_commands={"autoscale": "tasks.commands.autoscale:autoscale"})
@click.version_option(version("celery-inference"), package_name="celery-inference")
@click.pass_context
def main(context: click.Context) -> None:
    """Queues, lanes, models and dead letters of celery-inference. Settings come from CELERY_INFERENCE_… variables."""
    from celery_inference.client import inference_tasks
    from celery_inference.client.app import app

    assert inference_tasks  # imported so that the application knows its tasks
    context.obj = SimpleNamespace(app=app)


for command in (queues, lanes, dlq, models):
    main.add_command(command)
