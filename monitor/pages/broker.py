"""The Broker page, the queues API and the page's own files."""

from pathlib import Path
from typing import Any

from flower.views import BaseHandler
from tornado.web import HTTPError, StaticFileHandler, authenticated

STATIC = Path(__file__).parents[1] / "static"


class BrokerPage(BaseHandler):
    """`/broker`: each lane with its dead-letter queue, live."""

    @authenticated
    def get(self) -> None:
        """The page with the figures of now; its script keeps them so."""
        self.render(
            "broker.html",
            broker_url=self.application.broker_uri,
            report=self.application.depths.report(),
            autorefresh=self.application.options.auto_refresh,
        )


class QueuesApi(BaseHandler):
    """What the page shows, as JSON.

    Open to whoever may see the page: unlike Flower's other API calls it needs no
    FLOWER_UNAUTHENTICATED_API where there is no login, because it changes nothing and tells no more.
    """

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """A line of text instead of Flower's page."""
        if status_code == 401:
            super().write_error(status_code, **kwargs)
            return
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish(f"{status_code}\n")


class QueueLengths(QueuesApi):
    """`/api/queues/length`."""

    @authenticated
    def get(self) -> None:
        """The report of now, whatever SQS says."""
        self.write(self.application.depths.report().as_json())


class QueueHistory(QueuesApi):
    """`/api/queues/history?span=minutes` or `hours`."""

    @authenticated
    def get(self) -> None:
        """The samples of the last 15 minutes, or the peaks of each minute of the last six hours."""
        span = self.get_argument("span", "minutes")
        if span not in ("minutes", "hours"):
            raise HTTPError(400)
        self.write(self.application.depths.history_json(coarse=span == "hours"))


class EventsFreshness(QueuesApi):
    """`/api/events/freshness`."""

    @authenticated
    def get(self) -> None:
        """How old what workers told is, and why; `{}` where there are no events."""
        freshness = self.application.freshness()
        self.write({} if freshness is None else freshness.as_json())


def routes() -> list[tuple[Any, ...]]:
    """Our paths, without Flower's prefix."""
    return [
        (r"/broker", BrokerPage),
        (r"/api/queues/length", QueueLengths),
        (r"/api/queues/history", QueueHistory),
        (r"/api/events/freshness", EventsFreshness),
        (r"/static/monitor/(.*)", StaticFileHandler, {"path": str(STATIC)}),
    ]
