"""The image and the compose file, as far as they can be checked without building them."""

import subprocess
import sysconfig
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
HADOLINT = Path(sysconfig.get_path("scripts")) / "hadolint"


def hadolint(file: Path) -> str:
    return subprocess.run([HADOLINT, file], capture_output=True, text=True, check=False, timeout=60).stdout


def test_hadolint_has_nothing_to_say() -> None:
    assert hadolint(ROOT / "deploy/docker/Dockerfile") == ""


def test_hadolint_finds_a_fault(tmp_path: Path) -> None:
    text = (ROOT / "deploy/docker/Dockerfile").read_text().replace("python:3.11-slim-bookworm", "python:latest")
    (tmp_path / "Dockerfile").write_text(text)
    assert "DL3007" in hadolint(tmp_path / "Dockerfile")


def test_the_image_runs_the_worker_as_nobody_in_particular() -> None:
    lines = (ROOT / "deploy/docker/Dockerfile").read_text().splitlines()
    assert "USER 10001:10001" in lines
    assert 'ENTRYPOINT ["celery", "-A", "tasks"]' in lines


def test_the_image_has_every_room_that_a_worker_imports() -> None:
    text = (ROOT / "deploy/docker/Dockerfile").read_text()
    ignored = (ROOT / "deploy/docker/Dockerfile.dockerignore").read_text().splitlines()
    for room in ("sqs", "models", "tasks", "monitor", "deploy"):
        assert f"COPY {room} {room}\n" in text
        assert f"!{room}" in ignored


@pytest.fixture
def services() -> dict[str, dict[str, object]]:
    document = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
    found: dict[str, dict[str, object]] = document["services"]
    return found


def test_compose_shows_nothing_but_flower_and_that_on_loopback(services: dict[str, dict[str, object]]) -> None:
    assert {name: service["ports"] for name, service in services.items() if "ports" in service} == {
        "flower": ["127.0.0.1:5555:5555"]
    }


def test_compose_gives_a_worker_time_to_stop(services: dict[str, dict[str, object]]) -> None:
    assert services["worker"]["stop_grace_period"] == "60s"
