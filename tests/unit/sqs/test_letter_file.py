"""Files of dead letters: who may read them, and what becomes of a line that is none."""

import json
import stat
from pathlib import Path

import pytest

from celery_inference.sqs.dead_letters.export_import import DeadLetterFileError, Exporter, Importer

LINE = {
    "format": 1,
    "entry": {"id": "a", "lane": "inference"},
    "body": "{}",
    "attributes": {"Reason": {"DataType": "String", "StringValue": "{}"}},
    "group": None,
}


def test_an_export_is_its_owner_s_alone(tmp_path: Path) -> None:
    with Exporter(tmp_path / "letters.jsonl") as exporter:
        assert stat.S_IMODE(exporter.part.stat().st_mode) == 0o600
        exporter.finish()
    assert stat.S_IMODE((tmp_path / "letters.jsonl").stat().st_mode) == 0o600


def changed(**fields: object) -> str:
    return json.dumps(LINE | fields)


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        '{"format": 1, "entry": ' + '{"a": ' * 5_000 + "1" + "}" * 5_000 + "}",
        "7",
        "null",
        changed(format=2),
        changed(body=7),
        changed(body="\ud800"),
        changed(group=7),
        changed(entry=7),
        changed(entry={"id": 7, "lane": "inference"}),
        changed(entry={"id": "a", "lane": ["inference"]}),
        changed(entry={"id": "a"}),
        changed(attributes=7),
        changed(attributes={"Reason": 7}),
        changed(attributes={"Reason": {"DataType": "Number", "StringValue": 7}}),
        changed(attributes={"Reason": {"DataType": ["String"], "StringValue": "x"}}),
        changed(attributes={"Reason": {"DataType": "Binary", "BinaryValue": "no base64"}}),
        changed(attributes={"Reason": {"DataType": "String", "Other": "x"}}),
    ],
)
def test_a_line_that_is_no_letter_is_one_sentence_and_nothing_is_sent(tmp_path: Path, line: str) -> None:
    file = tmp_path / "letters.jsonl"
    file.write_text(f"{json.dumps(LINE)}\n{line}\n")
    importer = Importer(file, {})
    with pytest.raises(DeadLetterFileError, match=f"^{file}: the line at byte [0-9]+ is no dead letter"):
        list(importer.steps())
    assert importer.sent == 0
