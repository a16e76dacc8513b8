"""The worker's option `--health-port`; apart from what it serves, because every command of Celery's imports this."""

from typing import Any

import click

LOOPBACK = "127.0.0.1"


class HealthAddress(click.ParamType):  # type: ignore[type-arg]  # before 8.4, click takes none
    """`PORT` or `HOST:PORT`; a port from 0, which takes a free one, to 65535."""

    name = "[HOST:]PORT"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, int]:
        """Host and port; fails with one sentence."""
        if isinstance(value, tuple):
            return value
        host, _, port = str(value).rpartition(":")
        if not port.isdecimal() or int(port) > 65_535:
            self.fail(f"{value!r} is no port from 0 to 65535", param, ctx)
        return host.strip("[]") or LOOPBACK, int(port)


OPTION = click.Option(("--health-port",), type=HealthAddress(), help="Answer /live, /ready and /metrics here.")
