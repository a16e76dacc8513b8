"""The dead-letters page while the result store is away."""

import re
from types import SimpleNamespace

from celery_inference.sqs.dead_letters.index import Group
from celery_inference.sqs.messages.reason import Cause
from monitor.app.flower_app import SqsFlower
from monitor.pages.dead_letters_service import DeadLetterService
from tests.unit.monitor.test_depth_pages import HOSTILE, Pages


class TestStoreAway(Pages):
    def get_app(self) -> SqsFlower:
        flower = super().get_app()
        self.away: OSError | None = None
        flower.dead_letters = DeadLetterService(flower.capp, lambda app: [SimpleNamespace(index=self)])
        return flower

    def groups(self) -> list[Group]:
        if self.away is not None:
            raise self.away
        return [Group("inference", Cause.CRASH, "DeviceCrash", "small", 3, 0.0, 0.0, 0.0, "it ended")]

    def pauses(self) -> list[object]:
        return []

    def test_what_was_read_last_stays_with_its_age_and_the_reason(self) -> None:
        self.away = OSError(f"no disk {HOSTILE}")
        page = self.get("/dead-letters")
        assert page.code == 200
        assert "letter-groups" not in page.body.decode(), "nothing is known, which is no empty table"
        assert "no disk" in page.body.decode()
        self.away = None
        assert "DeviceCrash" in self.get("/dead-letters").body.decode()
        self.away = OSError(f"no disk {HOSTILE}")
        stale = self.get("/dead-letters").body.decode()
        assert "DeviceCrash" in stale
        assert re.search(r"What is shown was read \d+ s ago", stale)
        assert HOSTILE not in stale
