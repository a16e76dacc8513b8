"""`/inference`: each model and device of each worker, as their last heartbeats told."""

from typing import Any

from flower.views import BaseHandler
from tornado.web import authenticated

from monitor import formatting
from monitor.workers.device_rows import DeviceRow, PlacedModel, device_rows, placed_models

_ABSENT = "—"


def share(value: float | None) -> str:
    """A share as per cent."""
    return _ABSENT if value is None else f"{100 * value:.0f} %"


def number(value: float | None, unit: str = "") -> str:
    """A figure with its unit."""
    return _ABSENT if value is None else f"{value:,.1f}{' ' + unit if unit else ''}"


def duration(seconds: float | None) -> str:
    """A short time in the unit that shows it."""
    if seconds is None:
        return _ABSENT
    return f"{seconds * 1000:,.0f} ms" if seconds < 1 else f"{seconds:,.1f} s"


def count(value: float | None) -> str:
    """A whole number."""
    return _ABSENT if value is None else f"{value:,.0f}"


def tensors(row: DeviceRow) -> str:
    """What tensors take on a GPU, and the most that they took; on the CPU they are in the process's own memory."""
    if not row.on_gpu:
        return "in the process"
    return f"{formatting.size(row.memory['allocated'])}, at most {formatting.size(row.memory.get('peak'))}"


def memory_limits(placed: PlacedModel) -> str:
    """The out-of-memory limits of a model on a device, in words."""
    return "; ".join(f"from {least:,} tokens an input: {tokens:,} a pass" for least, tokens in placed.memory_limits)


class InferencePage(BaseHandler):
    """The page; it loads itself again every few seconds."""

    @authenticated
    def get(self) -> None:
        """What is known now."""
        stats = self.application.stats
        latest = stats.latest()
        self.render(
            "inference.html",
            rows=stats.rows(),
            devices=device_rows(latest),
            placed=placed_models(latest),
            age_seconds=stats.age_seconds(),
            span=formatting.span,
            size=formatting.size,
            share=share,
            number=number,
            duration=duration,
            count=count,
            tensors=tensors,
            memory_limits=memory_limits,
            autorefresh=self.application.options.auto_refresh,
        )


def inference_routes() -> list[tuple[Any, ...]]:
    """Our path, without Flower's prefix."""
    return [(r"/inference", InferencePage, {}, "inference")]
