"""Flower is still what monitor/ was written for: each part of it that we replace or rely on.

When this fails, read what changed in Flower, adapt monitor/ where it matters, and set the new digest.
"""

import hashlib
import inspect
import logging
import re
import runpy
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import flower.app
import flower.command
import flower.events
import flower.inspector
import flower.urls
import flower.views
import flower.views.broker
import pytest
from flower.api import tasks as flower_tasks
from flower.utils.blocking import BlockingOperationRunner
from tornado.options import options

from monitor.app.flower_app import SqsFlower
from monitor.app.no_broadcast import refused_routes

ROOT = Path(__file__).resolve().parents[3]

SURFACE: dict[str, tuple[Any, str]] = {
    # install.py puts our class where this reads `Flower`, after flowerconfig.py was executed
    "flower.command.flower": (flower.command.flower.callback, "201c0c47c1ac2bdf"),
    "flower.command.apply_options": (flower.command.apply_options, "6e51ffad45e327fb"),
    "flower.command.print_banner": (flower.command.print_banner, "91db84e10b5d7941"),
    # flower_app.py extends it
    "flower.app.Flower": (flower.app.Flower, "f723a84a2314dced"),
    # pages.py stands for these two and renders by this
    "flower.views.broker.BrokerView": (flower.views.broker.BrokerView, "5864240f2aaf8c5d"),
    "flower.api.tasks.GetQueueLengths": (flower_tasks.GetQueueLengths, "7cf798aa6290e800"),
    "flower.views.BaseHandler": (flower.views.BaseHandler, "eeae1b114ac1a8f0"),
    # without_broadcast.py keeps these from running
    "flower.events.Events": (flower.events.Events, "07f6fe4e323b4ffc"),
    # blocking.py adds to what it takes for an outage
    "flower.utils.blocking.BlockingOperationRunner": (BlockingOperationRunner, "e923468a7d39f445"),
    "flower.inspector.Inspector": (flower.inspector.Inspector, "674622403c993a47"),
}
TEMPLATES = {
    "base.html": "56ad48969f3345ac",
    "navbar.html": "2c0d5ff17f86a62e",
    "workers.html": "8aacfafea4d6a640",
    "tasks.html": "5fc709f74b959a45",
    "worker.html": "d7cf12e3d6ff56b4",
    "task.html": "8f35b5980c035651",
    "broker.html": "9c1339855986b1f5",
}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def test_it_is_the_version_we_were_written_for() -> None:
    assert version("flower") == "2.2.0"


@pytest.mark.parametrize("name", SURFACE)
def test_what_we_replace_or_call_is_unchanged(name: str) -> None:
    part, known = SURFACE[name]
    assert digest(inspect.getsource(part)) == known


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_templates_that_ours_extend_or_stand_for_are_unchanged(name: str) -> None:
    path = Path(flower.urls.settings["template_path"]) / name
    assert digest(path.read_text(encoding="utf-8")) == TEMPLATES[name]


def test_all_of_flowers_remote_control_is_refused() -> None:
    paths = [path for path, _ in refused_routes()]
    assert len(paths) == 10
    assert all(re.match(r"/api/(worker|task)/(shutdown|pool|queue|timeout|rate-limit|revoke)", path) for path in paths)


@pytest.fixture
def untouched_flower() -> Iterator[None]:
    filters = list(flower.command.logger.filters)
    original, address, max_tasks = flower.command.Flower, options.address, options.max_tasks
    yield
    flower.command.Flower, options.address, options.max_tasks = original, address, max_tasks
    flower.command.logger.filters[:] = filters


@pytest.mark.usefixtures("untouched_flower")
def test_flowerconfig_installs_us_and_keeps_to_loopback() -> None:
    settings = runpy.run_path(str(ROOT / "flowerconfig.py"))
    assert flower.command.Flower is SqsFlower
    assert settings["address"] == "127.0.0.1"
    assert settings["enable_events"] is False


@pytest.mark.usefixtures("untouched_flower")
def test_an_address_given_by_variable_is_kept() -> None:
    options.address = "10.0.0.7"
    assert runpy.run_path(str(ROOT / "flowerconfig.py"))["address"] == "10.0.0.7"


@pytest.mark.usefixtures("untouched_flower")
def test_how_many_tasks_flower_remembers_is_stated_and_an_operator_s_to_change() -> None:
    assert runpy.run_path(str(ROOT / "flowerconfig.py"))["max_tasks"] == 10_000
    assert "the last 10,000 tasks" in (ROOT / "docs" / "flower.md").read_text(encoding="utf-8").replace("\n", " ")
    options.max_tasks = 500
    assert runpy.run_path(str(ROOT / "flowerconfig.py"))["max_tasks"] == 500


@pytest.mark.usefixtures("untouched_flower")
def test_flowerconfig_sets_no_option_by_accident() -> None:
    known = {name.replace("-", "_") for name in options.as_dict()}
    public = {name for name in runpy.run_path(str(ROOT / "flowerconfig.py")) if not name.startswith("_")}
    assert public == {"address", "enable_events", "inspect_timeout", "max_tasks"}
    assert public <= known


@pytest.mark.usefixtures("untouched_flower")
def test_the_banner_tells_the_broker_without_its_user(caplog: pytest.LogCaptureFixture) -> None:
    runpy.run_path(str(ROOT / "flowerconfig.py"))
    with caplog.at_level(logging.INFO, "flower.command"):
        flower.command.logger.info("Broker: %s", "sqs://AKIAUSER:**@host")
    assert "AKIAUSER" not in caplog.text
    assert '"Broker: %s"' in inspect.getsource(flower.command.print_banner).replace("'", '"')
