"""The one place where Flower itself is changed, made for Flower 2.2.

`flower.command` builds `Flower(capp=…, options=…, **settings)` right after it has read flowerconfig.py and has
no setting for the class; `install`, called from there, gives it ours. tests/unit/monitor/test_flower_surface.py
fails when Flower changes under this.
"""

import logging

import flower.command
from celery import current_app

from monitor.app.flower_app import SqsFlower
from monitor.pages.dead_letters_service import DeadLetterSource, Letters
from monitor.queues.broker import shown_address

# What Flower's banner, and kombu's consumer of events, say with the broker's URL.
_WITH_URL = ("Broker: %s", "Connected to %s")


class _WithoutUser(logging.Filter):
    """Flower's first lines tell the broker's URL with its user; ours without."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.msg in _WITH_URL:
            record.args = (shown_address(current_app),)
        return True


_FILTER = _WithoutUser()


def install(letters: Letters | None = None) -> None:
    """Make `celery flower` start our application; harmless when repeated.

    `letters` gives the dead letters of an application; without it there is no page of them.
    """
    SqsFlower.letters_of = None if letters is None else DeadLetterSource(letters)
    flower.command.Flower = SqsFlower
    flower.command.logger.addFilter(_FILTER)
    logging.getLogger("kombu.mixins").addFilter(_FILTER)
