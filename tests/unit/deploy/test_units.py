"""systemd's own opinion of the units; it returns 0 for unknown keys, so what it says counts."""

import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[3] / "deploy" / "systemd"
ANALYZE = shutil.which("systemd-analyze")
pytestmark = pytest.mark.skipif(ANALYZE is None, reason="no systemd-analyze here")


def complaints(folder: Path, name: str) -> list[str]:
    assert ANALYZE is not None
    verify = [ANALYZE, "verify", "--recursive-errors=no", "--man=no", str(folder / name)]
    said = subprocess.run(verify, capture_output=True, text=True, check=False, timeout=60).stderr
    # Programs of another host, and units of this machine's own packages.
    return [line for line in said.splitlines() if name in line and "is not executable" not in line]


@pytest.mark.parametrize("unit", sorted(UNITS.glob("*.service")), ids=lambda unit: unit.name)
def test_systemd_has_nothing_to_say(unit: Path) -> None:
    assert complaints(UNITS, unit.name) == []


def test_systemd_finds_a_misspelt_key(tmp_path: Path) -> None:
    text = (UNITS / "celery-inference.service").read_text().replace("KillMode=mixed", "KilMode=mixed")
    (tmp_path / "faulty.service").write_text(text)
    assert any("KilMode" in line for line in complaints(tmp_path, "faulty.service"))
