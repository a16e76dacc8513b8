"""The layout of the product's code, checked: `python -m tests.support.house` prints a sentence for each fault.

A folder holds 2 to 12 modules, so that its name says what all of them are about. A public class has a name of its own,
so that a search finds it. A function of a module says what it does to what. No two files import each other, not even
for type checkers. What imports what between rooms is import-linter's.
"""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOMS = ("celery_inference", "tasks", "models", "monitor", "deploy", "examples")
MOST_MODULES = 12
VAGUE = ("note", "tell", "use", "look", "take", "hold", "keep")


def faults(root: Path) -> list[str]:
    """A sentence for each fault in the rooms of a checkout."""
    files = sorted(path.relative_to(root) for room in ROOMS for path in (root / room).rglob("*.py"))
    trees = {path: ast.parse((root / path).read_text(encoding="utf-8")) for path in files}
    return [*_folders(files), *_classes(trees), *_functions(trees), *_circles(trees)]


def _folders(files: list[Path]) -> Iterator[str]:
    modules = defaultdict(list)
    for path in files:
        if path.name != "__init__.py":
            modules[path.parent].append(path.name)
    for folder, names in modules.items():
        if len(names) > MOST_MODULES:
            yield f"{folder} has {len(names)} modules, more than {MOST_MODULES}: group some in a folder of their own"
        if len(names) == 1 and len(folder.parts) > 1:
            yield f"{folder} has {names[0]} alone: move it up, a folder is for several modules"


def _classes(trees: dict[Path, ast.Module]) -> Iterator[str]:
    places = defaultdict(list)
    for path, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path))
    for name, found in places.items():
        if len(found) > 1:
            yield f"class {name} is defined in {' and in '.join(found)}: give each a name of its own"


def _functions(trees: dict[Path, ast.Module]) -> Iterator[str]:
    for path, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in VAGUE:
                yield f"{path} has a function {node.name}(): name what it does to what"


def _circles(trees: dict[Path, ast.Module]) -> Iterator[str]:
    """Groups of files each of which imports every other one, directly or through others: Tarjan's algorithm."""
    # What a package file hands on is imported lazily there; it is no module that a circle could go through.
    paths = {".".join(path.with_suffix("").parts): path for path in trees if path.name != "__init__.py"}
    arrows = {name: sorted(_imported(name, trees[path]) & paths.keys() - {name}) for name, path in paths.items()}
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        number[name] = lowest[name] = len(number)
        open_.append(name)
        for other in arrows[name]:
            if other not in number:
                visit(other)
                lowest[name] = min(lowest[name], lowest[other])
            elif other in open_:
                lowest[name] = min(lowest[name], number[other])
        if lowest[name] == number[name]:
            place = open_.index(name)
            found.append(sorted(open_[place:]))
            del open_[place:]

    for name in arrows:
        if name not in number:
            visit(name)
    for names in found:
        if len(names) > 1:
            circle = ", ".join(str(paths[name]) for name in names)
            yield f"{circle} import each other: let the lower one take a protocol"


def _imported(name: str, tree: ast.Module) -> set[str]:
    """The names of what a module imports anywhere in it; of `from a import b` both `a` and `a.b`."""
    package = name.split(".")[:-1]
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return names


def main() -> None:
    """Check the checkout that this runs in; status 1 when there is a fault."""
    sys.setrecursionlimit(10_000)
    found = faults(Path())
    for sentence in found:
        print(sentence)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
