"""A host logs in to ECR before it pulls its image, and to no other registry. `aws` and `docker` are stand-ins."""

import subprocess
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[3] / "deploy" / "systemd" / "registry-login"
ECR = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"


@pytest.fixture
def host(tmp_path: Path) -> Path:
    for name, script in (
        ("aws", 'echo "aws $*" >> "$SAID"; [ -z "$AWS_FAILS" ] || exit 254; echo token'),
        ("docker", 'read -r word; echo "docker $* < $word" >> "$SAID"; [ "$word" = token ]'),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    return tmp_path


def log_in(host: Path, image: str, fails: str = "") -> tuple[int, list[str]]:
    said = host / "said"
    said.write_text("")
    path = f"{host}:/usr/bin:/bin"
    ran = subprocess.run(
        [PROGRAM, image],
        env={"PATH": path, "SAID": str(said), "AWS_FAILS": fails},
        capture_output=True,
        check=False,
        timeout=30,
    )
    return ran.returncode, sorted(said.read_text().splitlines())


def test_an_image_in_ecr_is_logged_in_for_in_its_own_region(host: Path) -> None:
    assert log_in(host, f"{ECR}/celery-inference@sha256:{'0' * 64}") == (
        0,
        [
            "aws ecr get-login-password --region eu-central-1",
            f"docker login --username AWS --password-stdin {ECR} < token",
        ],
    )


@pytest.mark.parametrize("image", ["celery-inference", "ghcr.io/somebody/celery-inference:1", "localhost:5000/x"])
def test_other_registries_are_left_alone(host: Path, image: str) -> None:
    assert log_in(host, image) == (0, [])


def test_a_refused_login_fails_the_start(host: Path) -> None:
    assert log_in(host, f"{ECR}/celery-inference:1", fails="yes")[0] != 0
