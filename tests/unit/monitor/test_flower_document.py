"""docs/flower.md tells the fields of the API as they are."""

import re
from pathlib import Path

from monitor.queues.poll_interval import CALM_SECONDS, INTERVAL_SECONDS, UNSEEN_SECONDS
from monitor.queues.report import DepthReporter
from tests.support.lanes import INFERENCE

DOCUMENT = (Path(__file__).resolve().parents[3] / "docs" / "flower.md").read_text(encoding="utf-8")


def test_every_field_of_the_api_is_documented() -> None:
    answer = DepthReporter([INFERENCE], lambda lane: []).report().as_json()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", DOCUMENT, flags=re.MULTILINE))
    assert set(rows) == set(answer)
    for part in ("active_queues", "lanes"):
        assert set(re.findall(r"`(\w+)`", rows[part])) == set(answer[part][0])


def test_the_interval_is_the_documented_one() -> None:
    for words in (
        f"asks SQS every {INTERVAL_SECONDS:g} s",
        f"every {CALM_SECONDS:g} s when",
        f"every {UNSEEN_SECONDS:g} s while",
    ):
        assert words in DOCUMENT.replace("\n", " ")
