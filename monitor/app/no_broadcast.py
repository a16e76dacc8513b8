"""Flower where CELERY_INFERENCE_BROADCAST is off: it neither listens for events nor asks the workers.

Stock Flower captures events and inspects the workers at start and with each view of their pages; with no broadcast
each try fails. Everything that depends on it is switched off here and nowhere else, and says so.
"""

import asyncio
from typing import Any

from flower.api import control
from flower.urls import handlers as flower_handlers
from flower.views import BaseHandler
from tornado.web import authenticated

_REFUSAL = "Celery's remote control is switched off (CELERY_INFERENCE_BROADCAST): nothing was sent to the workers.\n"


class WithoutBroadcast:
    """Mixin for Flower's application: starts no event receiver, sends no inspection."""

    io_loop: Any
    started: bool
    broadcast: bool  # whether events and remote control are on

    def start(self) -> None:
        """Serve until stopped; blocks."""
        if self.broadcast:
            super().start()  # type: ignore[misc]  # Flower's, which ships no types
            return
        self.started = True
        self.io_loop.start()

    def update_workers(self, workername: str | None = None) -> "asyncio.Future[None]":
        """What Flower awaits before it shows a worker; with no broadcast it is done, with no news."""
        if self.broadcast:
            inspection: asyncio.Future[None] = super().update_workers(workername)  # type: ignore[misc]
            return inspection
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
