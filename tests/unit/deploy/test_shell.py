"""ShellCheck's opinion of every shell script of the repository."""

import subprocess
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[3]
SHELLCHECK = Path(sysconfig.get_path("scripts")) / "shellcheck"


def shellcheck(*scripts: Path) -> str:
    return subprocess.run([SHELLCHECK, *scripts], capture_output=True, text=True, check=False, timeout=60).stdout


def test_shellcheck_has_nothing_to_say() -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [ROOT / name for name in tracked.split("\0") if name]
    scripts = [
        file
        for file in files
        if file.is_file() and file.read_bytes()[:64].startswith((b"#!/usr/bin/env bash", b"#!/bin/"))
    ]
    assert ROOT / ".ci" / "run" in scripts
    assert shellcheck(*scripts) == ""


def test_shellcheck_finds_a_fault(tmp_path: Path) -> None:
    (tmp_path / "faulty").write_text("#!/usr/bin/env bash\nrm -rf $1\n")
    assert "SC2086" in shellcheck(tmp_path / "faulty")
