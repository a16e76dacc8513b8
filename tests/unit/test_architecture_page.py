"""docs/architecture.md names rooms, layers, folders, files and functions; they are there."""

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\|[^|]*\| `(?P<file>[\w/]+\.py)` \| `(?P<name>[\w.]+)` \|$", re.MULTILINE)
STEPS = [(match["file"], match["name"]) for match in ROW.finditer(PAGE)]
ROOMS = dict(re.findall(r"^\| `([\w/]+)/` \|[^|]*\|([^|]*)\|$", PAGE, flags=re.MULTILINE))
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]


def defined(file: str) -> set[str]:
    """Names of a module's functions and classes, methods as Class.method."""
    found = set()
    for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{item.name}" for item in node.body if isinstance(item, ast.FunctionDef)}
    return found


def packages(folder: Path) -> set[str]:
    """Folders right below this one that hold Python modules."""
    return {path.parent.name for path in folder.glob("*/*.py")}


def layers(container: str | None) -> list[str]:
    """What import-linter checks inside a room, or across the rooms."""

    def fits(contract: dict[str, Any]) -> bool:
        inside: list[str] = contract.get("containers", [])
        return str(contract["type"]) == "layers" and inside == ([container] if container else [])

    (contract,) = filter(fits, CONTRACTS)
    return [str(layer) for layer in contract["layers"]]


def test_the_page_lists_the_whole_way() -> None:
    assert len(STEPS) >= 10


@pytest.mark.parametrize(("file", "name"), STEPS)
def test_each_step_is_where_the_page_says(file: str, name: str) -> None:
    assert name in defined(file)


def test_the_list_of_folders_is_that_of_the_steps() -> None:
    listed = re.findall(r"`(\w+)`", PAGE.partition("Follow the folders:")[2].partition("\n\n`tests/")[0])
    folders = [Path(file).parent.name for file, _ in STEPS]
    assert listed == [folder for place, folder in enumerate(folders) if [folder] != folders[place - 1 : place]]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_the_folders_that_the_page_lists(room: str) -> None:
    assert set(re.findall(r"`(\w+)`", ROOMS[room])) == packages(ROOT / room)


def test_the_page_lists_every_room_that_import_contracts_know() -> None:
    rooms = {name.partition(".")[0] for layer in layers(None) for name in layer.split(" | ")}
    assert rooms == {room for room in ROOMS if "/" not in room}


@pytest.mark.parametrize(
    ("before", "container"), [("Across the rooms:", None), ("inside the library:", "celery_inference")]
)
def test_the_layers_are_those_that_are_checked(before: str, container: str | None) -> None:
    block = PAGE.partition(before)[2].split("```")[1]
    assert block.split("\n")[1:-1] == layers(container)
