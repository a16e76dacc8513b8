"""`/inference`: each model and device of each worker, as their last heartbeats told."""

from typing import Any

from flower.views import BaseHandler
from tornado.web import authenticated

_ABSENT = "—"


def share(value: float | None) -> str:
    """A share as per cent."""
    return _ABSENT if value is None else f"{100 * value:.0f} %"


def number(value: float | None, unit: str = "", factor: float = 1.0) -> str:
    """A figure with its unit."""
    return _ABSENT if value is None else f"{value * factor:,.1f}{' ' + unit if unit else ''}"


class InferencePage(BaseHandler):
    """The page; it loads itself again every few seconds."""

    @authenticated
    def get(self) -> None:
        """What is known now."""
        figures = self.application.figures
        self.render(
            "inference.html",
            rows=figures.rows(),
            told=figures.latest(),
            ages=figures.received_ages(),
            share=share,
            number=number,
            autorefresh=self.application.options.auto_refresh,
        )


def inference_routes() -> list[tuple[Any, ...]]:
    """Our path, without Flower's prefix."""
    return [(r"/inference", InferencePage, {}, "inference")]
