"""`celery-inference models list` and `show` tell what the catalogue says; what is wrong with it is one sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from celery_inference.client.app import app
from celery_inference.commands.models import models

CATALOGUE = """
[first]
task = "fill-mask"
source = "./first"
deadline_seconds = 5

[second]
task = "fill-mask"
source = "org/second"
revision = "0123456789abcdef0123456789abcdef01234567"
dtype = "bfloat16"
default = true
lane = "inference"

[second.options.top_k]
maximum = 7
"""
Command = Callable[..., Result]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    def run(*arguments: str, catalogue: str = CATALOGUE) -> Result:
        path = tmp_path / f"{abs(hash(catalogue))}.toml"
        path.write_text(catalogue, encoding="utf-8")
        monkeypatch.setitem(app.conf, "inference_catalogue", str(path))
        return CliRunner().invoke(models, arguments, obj=SimpleNamespace(app=app))

    return run


def test_list_has_a_line_a_model(command: Command) -> None:
    lines = command("list").output.splitlines()
    assert [line.split()[:2] for line in lines] == [["model", "task"], ["first", "fill-mask"], ["second", "fill-mask"]]
    assert "(default)" in lines[2]
    assert "(default)" not in lines[1]
    assert lines[2].endswith("org/second at 0123456789ab")
    rows = json.loads(command("list", "--json").output)
    assert [(row["name"], row["default"], row["lane"]) for row in rows] == [
        ("first", False, "inference"),
        ("second", True, "inference"),
    ]


def test_show_has_the_keys_with_their_defaults_and_the_options_with_their_bounds(command: Command) -> None:
    lines = command("show", "first").output.splitlines()
    assert [line.split() for line in lines if line.startswith(("deadline", "max_pairs"))] == [
        ["deadline_seconds", "5"],
        ["max_pairs", "1024"],
    ]
    assert json.loads(command("show", "second", "--json").output)["options"]["top_k"]["maximum"] == 7


def test_what_show_prints_is_what_a_catalogue_takes(command: Command, tmp_path: Path) -> None:
    given = CATALOGUE + '[second.faults]\nkill = "kill me"\nhang = "hang"\nfail = "fail"\n'
    shown = json.loads(command("show", "second", "--json", catalogue=given).output)
    lines = [f"[{shown.pop('name')}]"]
    options, faults = shown.pop("options"), shown.pop("faults")
    lines += [f"{key} = {json.dumps(value)}" for key, value in shown.items() if value is not None]
    lines += ["[second.faults]", *(f"{key} = {json.dumps(value)}" for key, value in faults.items())]
    for name, facts in options.items():
        lines += [f"[second.options.{name}]"]
        bounds = {key: facts[key] for key in ("default", "minimum", "maximum") if facts[key] is not None}
        lines += [f"{key} = {json.dumps(value)}" for key, value in bounds.items()]
    output = command("show", "second", "--json", catalogue="\n".join(lines)).output
    again = json.loads(output)
    assert again == json.loads(command("show", "second", "--json", catalogue=given).output)


@pytest.mark.parametrize(
    ("arguments", "catalogue", "sentence"),
    [
        (["show", "secnd"], CATALOGUE, 'Error: model "secnd" is not known. Did you mean "second"?'),
        (["check", "secnd"], CATALOGUE, 'Error: model "secnd" is not known. Did you mean "second"?'),
        (["list"], "[first", "cannot be read"),
        (
            ["list"],
            CATALOGUE.replace('"inference"', '"inferense"'),
            '[second] lane: "inferense" is no lane of requests',
        ),
        (["list"], CATALOGUE.replace('"inference"', '"inference-general"'), "is no lane of requests. Did you mean"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_status_1(
    command: Command, arguments: list[str], catalogue: str, sentence: str
) -> None:
    ended = command(*arguments, catalogue=catalogue)
    assert ended.exit_code == 1
    assert sentence in ended.output
    assert ended.output.count("\n") == 1


def test_a_failed_check_is_json_when_json_was_asked_for(command: Command) -> None:
    ended = command("check", "nothing", "--json")
    assert ended.exit_code == 1
    assert json.loads(ended.output)["error"] == "UnknownModel"


def test_help_says_what_allow_unsafe_does(command: Command) -> None:
    text = " ".join(command("check", "--help").output.split())
    assert "Python code that the model's folder or repository brings along is run with all rights" in text
    assert "pickle files as well, by torch's restricted unpickler" in text
