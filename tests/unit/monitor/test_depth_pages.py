"""The Broker page and the queues API, over HTTP, whatever SQS says."""

import base64
import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any
from unittest import mock

from celery import Celery
from flower.options import default_options
from flower.urls import settings
from tornado.httpclient import HTTPResponse
from tornado.testing import AsyncHTTPTestCase

from celery_inference.sqs.lanes import DeclaredQueue, Lane
from celery_inference.sqs.queues.depths import Depth
from monitor.app.flower_app import SqsFlower
from monitor.queues.report import DepthReporter

HOSTILE = "<script>alert('1')</script>"
LANE = Lane(DeclaredQueue("inference"), DeclaredQueue("inference-dlq"))


def depths(visible: int = 40, missing: bool = False) -> list[Depth]:
    return [
        Depth("inference", visible, 5, 2, False, "inference", missing),
        Depth("inference-dlq", 3, 0, 0, True, "inference"),
    ]


class Pages(AsyncHTTPTestCase):
    """Flower with a broker URL that has a secret in it, on depths that a test sets."""

    options: dict[str, Any] = {}  # noqa: RUF012 - unittest's way to vary a fixture
    lane = LANE

    def get_app(self) -> SqsFlower:
        self.answer: Sequence[Depth] | Exception = depths()
        celery = Celery("test", broker="sqs://AKIAUSER:sEcrEt%2Fkey@sqs.example:9324//", set_as_current=False)
        options = SimpleNamespace(**{**default_options.as_dict(), "address": "127.0.0.1", **self.options})
        self.flower = SqsFlower(options=options, capp=celery, depths=DepthReporter([self.lane], self.read), **settings)
        return self.flower

    def tearDown(self) -> None:
        self.flower.executor.shutdown()
        super().tearDown()

    def read(self, lane: Lane) -> Sequence[Depth]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def get(self, path: str, **kwargs: Any) -> HTTPResponse:
        return self.fetch(path, **kwargs)

    def lengths(self) -> dict[str, Any]:
        answer = self.get("/api/queues/length")
        assert answer.code == 200
        return dict(json.loads(answer.body))


class TestCrossSite(Pages):
    """What a page of another site makes a browser send, whatever lets the browser in."""

    def post(self, path: str, **headers: str) -> HTTPResponse:
        return self.fetch(
            path, method="POST", body=b"", headers={name.replace("_", "-"): headers[name] for name in headers}
        )

    def test_it_may_change_nothing(self) -> None:
        foreign = (
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Sec_Fetch_Site": "cross-site"},
            {"Sec_Fetch_Site": "same-site", "Origin": f"http://127.0.0.1:{self.get_http_port()}"},
        )
        with mock.patch.dict("os.environ", {"FLOWER_UNAUTHENTICATED_API": "true"}):
            for headers in foreign:
                for path in ("/api/task/revoke/x?terminate=true", "/api/worker/shutdown/w", "/dead-letters/x"):
                    answer = self.post(path, **headers)
                    assert (answer.code, b"another site" in answer.body) == (403, True), (headers, path)

    def test_flower_s_own_pages_and_programs_may(self) -> None:
        own = ({}, {"Sec_Fetch_Site": "same-origin"}, {"Origin": f"http://127.0.0.1:{self.get_http_port()}"})
        for headers in own:
            assert b"another site" not in self.post("/api/nothing", **headers).body

    def test_looking_is_no_change(self) -> None:
        assert self.get("/api/queues/length", headers={"Sec-Fetch-Site": "cross-site"}).code == 200


class TestPages(Pages):
    def test_the_api_tells_each_queue_of_the_lane(self) -> None:
        self.flower.depths.watch.read_once()
        report = self.lengths()
        lane, dead_letters = report["active_queues"]
        assert (lane["name"], lane["visible"], lane["in_flight"], lane["delayed"]) == ("inference", 40, 5, 2)
        assert lane["messages"] == 47
        assert (dead_letters["name"], dead_letters["dead_letters"], dead_letters["messages"]) == (
            "inference-dlq",
            True,
            3,
        )
        assert (report["stale"], report["failures"]) == (False, [])

    def test_the_scrape_has_flowers_metrics_and_ours(self) -> None:
        self.flower.depths.watch.read_once()
        answer = self.get("/metrics")
        assert (answer.code, answer.headers["Content-Type"]) == (200, "text/plain")
        text = answer.body.decode()
        assert "# TYPE flower_events_total counter\n" in text
        assert text.count('celery_inference_queue_messages{queue="inference",state="visible"} 40.0\n') == 1

    def test_the_page_shows_them_in_flowers_own_frame(self) -> None:
        self.flower.depths.watch.read_once()
        page = self.get("/broker").body.decode()
        assert 'data-queue="inference"' in page
        assert ">40</td>" in page
        assert "dead letters of inference" in page
        assert "css/flower.css" in page
        assert 'href="/tasks"' in page

    def test_before_the_first_answer_the_queues_are_there_without_figures(self) -> None:
        report = self.lengths()
        assert [queue["name"] for queue in report["active_queues"]] == ["inference", "inference-dlq"]
        assert {queue["messages"] for queue in report["active_queues"]} == {None}
        assert report["freshness"] == "Not read yet"
        assert "&mdash;" in self.get("/broker").body.decode()

    def test_a_fault_shows_old_figures_their_age_and_the_reason(self) -> None:
        self.flower.depths.watch.read_once()
        self.answer = ConnectionError(f"away {HOSTILE}")
        self.flower.depths.watch.read_once()
        report = self.lengths()
        assert report["stale"]
        assert report["active_queues"][0]["visible"] == 40
        assert report["freshness"].startswith("SQS cannot be read; figures are ")
        page = self.get("/broker")
        assert page.code == 200
        assert ">40</td>" in page.body.decode()
        assert "SQS cannot be read" in page.body.decode()
        assert HOSTILE not in page.body.decode()
        assert "away &lt;script&gt;" in page.body.decode()

    def test_a_queue_that_does_not_exist_is_not_shown_as_empty(self) -> None:
        self.answer = depths(0, missing=True)
        self.flower.depths.watch.read_once()
        (lane, _) = self.lengths()["active_queues"]
        assert (lane["missing"], lane["visible"], lane["messages"]) == (True, None, None)

    def test_no_page_tells_the_brokers_credentials(self) -> None:
        self.answer = ConnectionError("away")
        self.flower.depths.watch.read_once()
        for path in ("/broker", "/workers", "/tasks", "/api/queues/length", "/metrics", "/nowhere"):
            body = self.get(path).body.decode()
            assert "AKIAUSER" not in body, path
            assert "sEcrEt" not in body, path
        assert "sqs://sqs.example:9324" in self.get("/broker").body.decode()

    def test_the_history_has_all_readings_or_the_peaks_of_minutes(self) -> None:
        for visible in (1, 90, 4):
            self.answer = depths(visible)
            self.flower.depths.watch.read_once()
        minutes = json.loads(self.get("/api/queues/history").body)["history"]
        assert [queue["name"] for queue in minutes] == ["inference", "inference-dlq"]
        assert [row[1] for row in minutes[0]["samples"]] == [1, 90, 4]
        hours = json.loads(self.get("/api/queues/history?span=hours").body)["history"]
        assert max(row[1] for row in hours[0]["samples"]) == 90
        refused = self.get("/api/queues/history?span=%3Cscript%3E")
        assert (refused.code, refused.body) == (400, b"400\n")

    def test_what_is_switched_off_is_said_and_refused(self) -> None:
        for path in ("/workers", "/tasks", "/"):
            assert "Switched off: Celery" in self.get(path).body.decode()
        assert "Switched off: Celery" not in self.get("/broker").body.decode()
        for path in ("/api/task/revoke/1", "/api/worker/shutdown/w", "/api/worker/pool/grow/w"):
            refused = self.get(path, method="POST", body="")
            assert refused.code == 501, path
            assert b"nothing was sent" in refused.body

    def test_workers_that_are_not_known_are_not_waited_for(self) -> None:
        assert self.get("/worker/celery@somewhere").code == 404

    def test_the_pages_own_files_are_served(self) -> None:
        for name in ("depths.js", "chart.js", "depths.css"):
            assert self.get(f"/static/monitor/{name}").code == 200
            assert f"/static/monitor/{name}" in self.get("/broker").body.decode()
        assert self.get("/static/monitor/..%2Fbroker.py").code in (403, 404)
        assert self.get("/static/css/flower.css").code == 200

    def test_a_foreign_host_name_reaches_nothing_without_a_login(self) -> None:
        for path in ("/broker", "/metrics", "/tasks", "/api/queues/length", "/static/css/flower.css"):
            for host in ("evil.example:5555", "10.0.0.7", "localhost.evil.example", ""):
                refused = self.get(path, headers={"Host": host})
                assert (refused.code, b"has no login" in refused.body) == (403, True), (path, host)
        assert self.get("/api/task/revoke/1", method="POST", body="", headers={"Host": "evil.example"}).code == 403
        for host in ("localhost:5555", "127.0.0.1", "[::1]:5555", "LOCALHOST"):
            assert self.get("/broker", headers={"Host": host}).code == 200, host


class TestHostileNames(Pages):
    """Queue names come from SQS's rules, which allow no markup; a page must not rest on that."""

    lane = Lane(DeclaredQueue(HOSTILE), DeclaredQueue(f"{HOSTILE}-dlq"))

    def test_names_are_text(self) -> None:
        self.answer = [Depth(HOSTILE, 1, 0, 0, False, HOSTILE)]
        self.flower.depths.watch.read_once()
        page = self.get("/broker").body.decode()
        assert HOSTILE not in page
        assert "&lt;script&gt;" in page
        assert self.get("/api/queues/length").headers["Content-Type"].startswith("application/json")


class TestPrefix(Pages):
    options = {"url_prefix": "/ops/"}  # noqa: RUF012

    def test_all_paths_move_under_flowers_prefix(self) -> None:
        self.flower.depths.watch.read_once()
        page = self.get("/ops/broker")
        assert page.code == 200
        assert '"/ops/static/monitor/depths.js"' in page.body.decode()
        assert self.get("/ops/static/monitor/depths.js").code == 200
        assert json.loads(self.get("/ops/api/queues/length").body)["active_queues"][0]["visible"] == 40
        assert self.get("/ops/api/task/revoke/1", method="POST", body="").code == 501


class TestLogin(Pages):
    options = {"basic_auth": ["user:pass"], "address": "0.0.0.0"}  # noqa: RUF012

    def test_flowers_login_guards_our_pages(self) -> None:
        self.flower.depths.watch.read_once()
        for path in ("/broker", "/api/queues/length", "/api/queues/history"):
            assert self.get(path).code == 401, path
            let_in = {"Authorization": "Basic " + base64.b64encode(b"user:pass").decode()}
            assert self.get(path, headers=let_in).code == 200, path
            elsewhere = {**let_in, "Host": "flower.example.com"}
            assert self.get(path, headers=elsewhere).code == 200, path
            wrong = {"Authorization": "Basic " + base64.b64encode(b"user:past").decode()}
            assert self.get(path, headers=wrong).code == 401, path
        assert self.get("/api/task/revoke/1", method="POST", body="").code == 401
