"""The worker's option `--log-format`; apart from the formatter, because every command of Celery's imports this."""

import click

OPTION = click.Option(
    ("--log-format",),
    type=click.Choice(["text", "json"]),
    default="text",
    help="Write log lines as text, or each as one JSON object.",
)
