"""What Celery's own command line says of our application: `celery -A tasks -b URL --result-backend URL …`.

Celery hands both on in variables that our application does not read, see celery_inference.client.app.
"""

import sys

import click
from click.core import ParameterSource

from celery_inference import settings


def obey_celery_options() -> None:
    """Let `-b` and `--result-backend` win over the environment, where this process is Celery's command."""
    context = click.get_current_context(silent=True)
    celery = sys.modules.get("celery.bin.celery")
    if context is None or celery is None or (root := context.find_root()).command is not celery.celery:
        return
    for parameter, setting in (("broker", "broker_url"), ("result_backend", "result_backend")):
        if root.get_parameter_source(parameter) is ParameterSource.COMMANDLINE:
            settings.override(**{setting: str(root.params[parameter])})
