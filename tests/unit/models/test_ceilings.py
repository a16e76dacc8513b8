"""What ran out of memory is remembered by length, forgotten slowly, and survives a restart."""

import json
import logging
from pathlib import Path

import pytest

from models.scheduling.batching import Limits, split
from models.scheduling.memory_limits import Ceilings, allowed

LIMIT = 8192


def test_a_ceiling_is_half_of_what_did_not_fit_and_holds_for_its_length_and_longer_ones() -> None:
    ceilings = Ceilings()
    ceilings.ran_out("m", "gpu", length=300, tokens=4800)
    assert ceilings.of("m", "gpu") == ((256, 2400),)
    known = ceilings.of("m", "gpu")
    assert [allowed(known, length, LIMIT) for length in (100, 256, 300, 512)] == [LIMIT, 2400, 2400, 2400]


def test_models_and_devices_do_not_share_ceilings() -> None:
    ceilings = Ceilings()
    ceilings.ran_out("m", "gpu", 300, 4800)
    assert ceilings.of("n", "gpu") == ceilings.of("m", "other gpu") == ()


def test_a_single_row_that_did_not_fit_leaves_a_ceiling_that_lets_it_run() -> None:
    ceilings = Ceilings()
    ceilings.ran_out("m", "gpu", 512, 512)
    limits = Limits(16, LIMIT, 0, ceilings.of("m", "gpu"))
    assert split([512, 512], limits) == [[0], [1]]


def test_batches_that_pass_raise_it_until_it_is_forgotten() -> None:
    ceilings = Ceilings()
    ceilings.ran_out("m", "gpu", 300, 2 * 4096)
    seen = []
    while known := ceilings.of("m", "gpu"):
        seen.append(known[0][1])
        ceilings.passed("m", "gpu", 300, LIMIT)
    assert seen == sorted(seen)
    assert 50 < len(seen) < 100


def test_short_batches_say_nothing_of_long_ones() -> None:
    ceilings = Ceilings()
    ceilings.ran_out("m", "gpu", 300, 4800)
    for _ in range(500):
        ceilings.passed("m", "gpu", 20, LIMIT)
    assert ceilings.of("m", "gpu") == ((256, 2400),)


def test_they_are_kept_across_restarts(tmp_path: Path) -> None:
    path = tmp_path / "state" / "memory-ceilings.json"
    Ceilings(path).ran_out("m", "gpu", 300, 4800)
    assert Ceilings(path).of("m", "gpu") == ((256, 2400),)
    assert [file.name for file in path.parent.iterdir()] == ["memory-ceilings.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"m on gpu": 5}', '{"m on gpu": {"x": 1}}', '{"m": {"4": -1}}', "\0"])
def test_a_file_that_is_no_such_file_is_begun_anew(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "memory-ceilings.json"
    path.write_text(text)
    ceilings = Ceilings(path)
    assert ceilings.of("m", "gpu") == ()
    assert "begun anew" in caplog.text
    ceilings.ran_out("m", "gpu", 300, 4800)
    assert json.loads(path.read_text()) == {"m on gpu": {"256": 2400.0}}


def test_a_folder_that_cannot_be_written_costs_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("no folder")
    ceilings = Ceilings(tmp_path / "file" / "memory-ceilings.json")
    caplog.set_level(logging.WARNING, "models.engine")
    for tokens in (4800, 2400):
        ceilings.ran_out("m", "gpu", 300, tokens)
    assert ceilings.of("m", "gpu") == ((256, 1200),)
    assert caplog.text.count("cannot be written") == 1
