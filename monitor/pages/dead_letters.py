"""`/dead-letters`: groups, letters, one letter, and what is done with them.

Flower leaves XSRF tokens alone where there is no login, or a basic one. These pages do not: a page from anywhere
could otherwise drop letters through the browser of whoever may. Each change is asked for once more on a page of its
own, and refused in Flower's read-only mode.
"""

import asyncio
import time
from typing import Any
from urllib.parse import urlencode

from flower.views import BaseHandler
from tornado.web import HTTPError, RequestHandler, authenticated

from celery_inference.sqs.dead_letters.index import Selection
from celery_inference.sqs.errors import SqsError
from monitor import formatting
from monitor.pages.dead_letters_service import DeadLetterService, UnknownDeadLetterError, selection_of, wait_for

ACTIONS = ("redrive", "drop")
SHORT_SECONDS = 2.0
_GROUP = ("cause", "error_type", "model")


class DeadLetterPage(BaseHandler):
    """What the pages share."""

    @property
    def service(self) -> DeadLetterService:
        """The dead letters of Flower's application."""
        service: DeadLetterService | None = self.application.dead_letters
        if service is None:
            raise HTTPError(404, "No dead letters are kept here")
        return service

    @property
    def read_only(self) -> bool:
        """Flower's own setting."""
        return bool(self.application.options.read_only)

    async def in_thread(self, function: Any, *arguments: Any) -> Any:
        """Run what blocks where it holds up no page."""
        return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)

    def chosen(self) -> Selection:
        """The letters that the request names."""
        facts = {name: self.get_argument(name, None) for name in (*_GROUP, "id")}
        return selection_of(self.get_argument("lane", None), **facts)

    def link(self, name: str, **facts: Any) -> str:
        """The address of one of these pages."""
        return f"{self.reverse_url(name)}?{urlencode({key: value for key, value in facts.items() if value})}"

    def show(self, template: str, **facts: Any) -> None:
        """Render with what every template needs."""
        now = time.time()
        self.render(
            template,
            read_only=self.read_only,
            since=lambda at: f"{formatting.span(max(0.0, now - at))} ago",
            until=lambda at: f"in {formatting.span(at - now)}" if at > now else "over",
            link=self.link,
            **facts,
        )


class GroupsPage(DeadLetterPage):
    """All groups."""

    @authenticated
    async def get(self) -> None:
        """A store that is away, or has no index, is said, with what was read last; it is no error of the page."""
        failure = None
        try:
            seen = await self.in_thread(self.service.overview)
        except (SqsError, OSError) as error:
            failure, seen = str(error), self.service.last
        self.show("dead_letters.html", seen=seen, failure=failure, works=self.service.works[::-1])


class ListPage(DeadLetterPage):
    """The letters of a group."""

    @authenticated
    async def get(self) -> None:
        """A page of a hundred."""
        failure, page = None, None
        try:
            page = await self.in_thread(self.service.page, self.chosen(), self.get_argument("after", None))
        except (SqsError, OSError) as error:
            failure = str(error)
        self.show("dead_letter_list.html", page=page, selection=self.chosen(), failure=failure)


class DetailPage(DeadLetterPage):
    """One letter."""

    @authenticated
    async def get(self) -> None:
        """Takes the letter from its queue for a moment, and gives it back."""
        failure, shown = None, None
        try:
            shown = await self.in_thread(self.service.show, self.get_argument("lane"), self.get_argument("id"))
        except UnknownDeadLetterError as error:
            raise HTTPError(404, str(error)) from error
        except (SqsError, OSError) as error:
            failure = str(error)
        self.show("dead_letter.html", shown=shown, failure=failure, lanes=self.service.lanes)


class ConfirmPage(DeadLetterPage):
    """Ask for a confirmation, then redrive or drop."""

    def check_xsrf_cookie(self) -> None:
        """Always Tornado's own check, and none from other sites."""
        if self.request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            raise HTTPError(403, "Cross-site request forbidden")
        RequestHandler.check_xsrf_cookie(self)

    def prepare(self) -> None:
        """Refused in read-only mode."""
        if self.read_only:
            raise HTTPError(403, "Read only mode is enabled")

    @authenticated
    async def get(self, action: str) -> None:
        """What would be done."""
        selection = self._selection()
        failure, count = None, 0
        try:
            count = await self.in_thread(self.service.count, selection)
        except (SqsError, OSError) as error:
            failure = str(error)
        self.show(
            "dead_letter_change.html",
            action=action,
            selection=selection,
            count=count,
            failure=failure,
            to_lane=self.get_argument("to_lane", ""),
        )

    @authenticated
    async def post(self, action: str) -> None:
        """Begin, wait a moment, and show how far it is."""
        selection = self._selection()
        to_lane = self.get_argument("to_lane", "") or None
        if to_lane is not None and to_lane not in self.service.lanes:
            raise HTTPError(400, "No such lane")
        work = self.service.drop(selection) if action == "drop" else self.service.redrive(selection, to_lane)
        await self.in_thread(wait_for, work, SHORT_SECONDS)
        self.redirect(self.reverse_url("dead_letters"), status=303)

    def _selection(self) -> Selection:
        selection = self.chosen()
        if selection.lane not in self.service.lanes or not (selection.ids or selection.cause):
            raise HTTPError(400, "Say which letters of which lane")
        return selection


def dead_letter_routes() -> list[tuple[Any, ...]]:
    """Our paths, without Flower's prefix."""
    return [
        (r"/dead-letters", GroupsPage, {}, "dead_letters"),
        (r"/dead-letters/letters", ListPage, {}, "dead_letter_list"),
        (r"/dead-letters/letter", DetailPage, {}, "dead_letter"),
        (rf"/dead-letters/({'|'.join(ACTIONS)})", ConfirmPage, {}, "dead_letter_change"),
    ]
