"""Flower while SQS carries no broadcast: it neither listens for events nor asks the workers.

Stock Flower creates a queue of its own for events, broadcasts `enable_events` every 5 s and inspects the
workers at start and with each view of their pages; on SQS each try creates and deletes queues and none is
answered. Everything that depends on it is switched off here and nowhere else, and says so.
"""

import asyncio
from typing import Any

from flower.api import control
from flower.urls import handlers as flower_handlers
from flower.views import BaseHandler
from tornado.web import authenticated

_REFUSAL = "Celery's remote control is not carried over SQS yet: nothing was sent to the workers.\n"


class WithoutBroadcast:
    """Mixin for Flower's application: starts no event receiver, sends no inspection."""

    io_loop: Any
    started: bool

    def start(self) -> None:
        """Serve until stopped; blocks."""
        self.started = True
        self.io_loop.start()

    def update_workers(self, workername: str | None = None) -> "asyncio.Future[None]":
        """What Flower awaits before it shows a worker: done, with no news."""
        nothing: asyncio.Future[None] = self.io_loop.asyncio_loop.create_future()
        nothing.set_result(None)
        return nothing


class RemoteControlRefused(BaseHandler):
    """Stands for Flower's calls that control workers: an honest refusal instead of a broadcast into nothing."""

    @authenticated
    def post(self, *_: str) -> None:
        """501 for every command."""
        self.set_status(501)
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish(_REFUSAL)


def refused_routes() -> list[tuple[str, type[RemoteControlRefused]]]:
    """A refusing route for each path of Flower's remote control API."""
    return [
        (rule[0], RemoteControlRefused)
        for rule in flower_handlers
        if isinstance(rule, tuple) and getattr(control, rule[1].__name__, None) is rule[1]
    ]
