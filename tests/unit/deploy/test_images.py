"""The image and the compose file, as far as they can be checked without building them."""

import json
import subprocess
import sys
import sysconfig
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import click
import pytest
import yaml

from celery_inference.commands.main import main
from deploy.sagemaker.container import PORT
from tests.support.lambda_service import HANDLER

ROOT = Path(__file__).parents[3]
HADOLINT = Path(sysconfig.get_path("scripts")) / "hadolint"


def hadolint(file: Path) -> str:
    return subprocess.run([HADOLINT, file], capture_output=True, text=True, check=False, timeout=60).stdout


IMAGES = ("docker", "aws_lambda", "sagemaker")


@pytest.mark.parametrize("image", IMAGES)
def test_hadolint_has_nothing_to_say(image: str) -> None:
    assert hadolint(ROOT / f"deploy/{image}/Dockerfile") == ""


@pytest.mark.parametrize("image", IMAGES)
def test_hadolint_finds_a_fault(tmp_path: Path, image: str) -> None:
    text = (ROOT / f"deploy/{image}/Dockerfile").read_text().replace("python:3.11-slim-bookworm", "python:latest")
    (tmp_path / "Dockerfile").write_text(text)
    assert "DL3007" in hadolint(tmp_path / "Dockerfile")


def test_the_image_runs_the_worker_as_nobody_in_particular() -> None:
    lines = (ROOT / "deploy/docker/Dockerfile").read_text().splitlines()
    assert "USER 10001:10001" in lines
    assert 'ENTRYPOINT ["celery", "-A", "tasks"]' in lines


def test_the_image_has_every_room_that_a_worker_imports() -> None:
    text = (ROOT / "deploy/docker/Dockerfile").read_text()
    ignored = (ROOT / "deploy/docker/Dockerfile.dockerignore").read_text().splitlines()
    for room in ("celery_inference", "models", "tasks", "monitor", "deploy"):
        assert f"COPY {room} {room}\n" in text
        assert f"!{room}" in ignored


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_the_image_asks_its_worker_whether_it_lives(status: int, healthy: bool) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/live" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    lines = (ROOT / "deploy/docker/Dockerfile").read_text().splitlines()
    (check,) = [json.loads(line.strip().removeprefix("CMD ")) for line in lines if line.startswith("  CMD [")]
    started = json.loads(lines[-1].removeprefix("CMD "))
    port = started[started.index("--health-port") + 1]
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        asked = check[2].replace(f"127.0.0.1:{port}/", f"127.0.0.1:{server.server_port}/")
        assert asked != check[2]
        ran = subprocess.run([sys.executable, "-c", asked], capture_output=True, check=False, timeout=30)
        server.shutdown()
    assert (ran.returncode == 0) is healthy


def test_the_functions_image_has_every_room_that_its_handler_imports_and_names_it() -> None:
    text = (ROOT / "deploy/aws_lambda/Dockerfile").read_text()
    ignored = (ROOT / "deploy/aws_lambda/Dockerfile.dockerignore").read_text().splitlines()
    for room in ("celery_inference", "models", "tasks", "deploy"):
        assert f"COPY {room} {room}\n" in text
        assert f"!{room}" in ignored
    assert f'CMD ["{HANDLER}"]' in text.splitlines()
    assert "CELERY_INFERENCE_BROADCAST=off" in text


def test_an_endpoints_image_has_every_room_that_its_container_imports_and_takes_sagemakers_argument() -> None:
    text = (ROOT / "deploy/sagemaker/Dockerfile").read_text()
    ignored = (ROOT / "deploy/sagemaker/Dockerfile.dockerignore").read_text().splitlines()
    for room in ("celery_inference", "models", "tasks", "deploy"):
        assert f"COPY {room} {room}\n" in text
        assert f"!{room}" in ignored
    assert 'ENTRYPOINT ["python", "-m", "deploy.sagemaker.container", "--host", "0.0.0.0"]' in text.splitlines()
    assert 'CMD ["serve"]' in text.splitlines()
    assert f"EXPOSE {PORT}" in text.splitlines()


@pytest.fixture
def services() -> dict[str, dict[str, object]]:
    document = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
    found: dict[str, dict[str, object]] = document["services"]
    return found


def test_the_image_owns_the_folders_that_composes_volumes_are_mounted_at(
    services: dict[str, dict[str, object]],
) -> None:
    """Docker makes a volume as the folder of the image is, and root's where there is none."""
    mounts: list[str] = [mount for service in services.values() for mount in service.get("volumes", [])]  # type: ignore[attr-defined]
    named = {mount.split(":")[1] for mount in mounts if not mount.startswith(".")}
    text = (ROOT / "deploy/docker/Dockerfile").read_text()
    (made,) = [line for line in text.splitlines() if "mkdir -p" in line]
    (owned,) = [line for line in text.splitlines() if "chown 10001:10001 /" in line]
    assert named == {"/queues", "/results"}
    for folder in named:
        assert folder in made.split()
        assert folder in owned.split()


def test_compose_shows_nothing_but_flower_and_that_on_loopback(services: dict[str, dict[str, object]]) -> None:
    assert {name: service["ports"] for name, service in services.items() if "ports" in service} == {
        "flower": ["127.0.0.1:5555:5555"]
    }


def test_compose_asks_nobody_but_the_worker_what_the_image_asks(services: dict[str, dict[str, object]]) -> None:
    assert {name for name, service in services.items() if "healthcheck" not in service} == {"worker"}


def test_compose_gives_a_worker_time_to_stop(services: dict[str, dict[str, object]]) -> None:
    assert services["worker"]["stop_grace_period"] == "60s"


def command_lines() -> list[list[str]]:
    """Of each container of ours in compose and Kubernetes, entrypoint and arguments."""
    image = ["celery", "-A", "tasks"]
    found = []
    for service in yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"].values():
        found.append([*service.get("entrypoint", image), *service.get("command", ["worker"])])
    for file in sorted((ROOT / "deploy/kubernetes").glob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            pod = ((document or {}).get("spec") or {}).get("template", {}).get("spec", {})
            for container in pod.get("containers", []):
                found.append([*container.get("command", image), *container.get("args", ["worker"])])
    return found


def test_every_container_runs_a_command_that_there_is() -> None:
    lines = command_lines()
    assert {line[0] for line in lines} == {"python", "celery", "celery-inference"}
    for line in lines:
        if line[0] == "celery-inference":
            context = click.Context(main)
            assert main.get_command(context, line[1]) is not None, line
        elif line[0] == "celery":
            assert line[:3] == ["celery", "-A", "tasks"]
            assert line[3] in ("worker", "flower"), line
