"""What ran out of memory is remembered by length, forgotten slowly, and survives a restart."""

import json
import logging
from pathlib import Path

import pytest

from models.scheduling.batching import Limits, split
from models.scheduling.memory_limits import MemoryLimits, allowed

LIMIT = 8192


def test_a_ceiling_is_half_of_what_did_not_fit_and_holds_for_its_length_and_longer_ones() -> None:
    memory_limits = MemoryLimits()
    memory_limits.ran_out("m", "gpu", length=300, tokens=4800)
    assert memory_limits.of("m", "gpu") == ((256, 2400),)
    known = memory_limits.of("m", "gpu")
    assert [allowed(known, length, LIMIT) for length in (100, 256, 300, 512)] == [LIMIT, 2400, 2400, 2400]


def test_models_and_devices_do_not_share_ceilings() -> None:
    memory_limits = MemoryLimits()
    memory_limits.ran_out("m", "gpu", 300, 4800)
    assert memory_limits.of("n", "gpu") == memory_limits.of("m", "other gpu") == ()


def test_a_single_row_that_did_not_fit_leaves_a_ceiling_that_lets_it_run() -> None:
    memory_limits = MemoryLimits()
    memory_limits.ran_out("m", "gpu", 512, 512)
    limits = Limits(16, LIMIT, 0, memory_limits.of("m", "gpu"))
    assert split([512, 512], limits) == [[0], [1]]


def test_batches_that_pass_raise_it_until_it_is_forgotten() -> None:
    memory_limits = MemoryLimits()
    memory_limits.ran_out("m", "gpu", 300, 2 * 4096)
    seen = []
    while known := memory_limits.of("m", "gpu"):
        seen.append(known[0][1])
        memory_limits.passed("m", "gpu", 300, LIMIT)
    assert seen == sorted(seen)
    assert 50 < len(seen) < 100


def test_short_batches_say_nothing_of_long_ones() -> None:
    memory_limits = MemoryLimits()
    memory_limits.ran_out("m", "gpu", 300, 4800)
    for _ in range(500):
        memory_limits.passed("m", "gpu", 20, LIMIT)
    assert memory_limits.of("m", "gpu") == ((256, 2400),)


def test_they_are_kept_across_restarts(tmp_path: Path) -> None:
    path = tmp_path / "state" / "memory-ceilings.json"
    MemoryLimits(path).ran_out("m", "gpu", 300, 4800)
    assert MemoryLimits(path).of("m", "gpu") == ((256, 2400),)
    assert [file.name for file in path.parent.iterdir()] == ["memory-ceilings.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"m on gpu": 5}', '{"m on gpu": {"x": 1}}', '{"m": {"4": -1}}', "\0"])
def test_a_file_that_is_no_such_file_is_begun_anew(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "memory-ceilings.json"
    path.write_text(text)
    memory_limits = MemoryLimits(path)
    assert memory_limits.of("m", "gpu") == ()
    assert "begun anew" in caplog.text
    memory_limits.ran_out("m", "gpu", 300, 4800)
    assert json.loads(path.read_text()) == {"m on gpu": {"256": 2400.0}}


def test_a_folder_that_cannot_be_written_costs_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("no folder")
    memory_limits = MemoryLimits(tmp_path / "file" / "memory-ceilings.json")
    caplog.set_level(logging.WARNING, "models.engine")
    for tokens in (4800, 2400):
        memory_limits.ran_out("m", "gpu", 300, tokens)
    assert memory_limits.of("m", "gpu") == ((256, 1200),)
    assert caplog.text.count("cannot be written") == 1
