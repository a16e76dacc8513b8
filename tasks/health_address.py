"""The worker's option `--health-port`; apart from what it serves, because applications import this."""

from typing import Any

import click

LOOPBACK = "127.0.0.1"


class Address(click.ParamType[tuple[str, int]]):
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


OPTION = click.Option(("--health-port",), type=Address(), help="Answer /live, /ready and /metrics here.")
