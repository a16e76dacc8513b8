"""docs/flower.md tells the fields of the API as they are."""

import re
from pathlib import Path

from monitor.queues.poll_interval import CALM_SECONDS, INTERVAL_SECONDS, UNSEEN_SECONDS
from monitor.queues.report import DepthReporter
from monitor.queues.watcher import STALE_AFTER_SECONDS
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


def test_a_chart_has_a_gap_only_where_a_reading_is_missing() -> None:
    script = (Path(__file__).resolve().parents[3] / "monitor" / "static" / "depths.js").read_text(encoding="utf-8")
    gaps = [float(seconds) for seconds in re.findall(r"gapSeconds: (\d+)", script)]
    assert gaps[0] == STALE_AFTER_SECONDS, "the rarest readings, and a slow answer"
    assert gaps[1] >= 60 + STALE_AFTER_SECONDS, "peaks of whole minutes"
