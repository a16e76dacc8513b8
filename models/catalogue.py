"""The catalogue: a TOML file with one table a model, read once and checked in every key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from models.errors import CatalogueError, UnknownModel, suggestion
from models.kinds import KINDS, Option
from models.spec import Faults, ModelSpec

DEFAULT_PATH = Path(__file__).parent / "catalogue.toml"

_KEYS = {f.name for f in fields(ModelSpec)} - {"name"}
_OPTION_KEYS = {"default", "minimum", "maximum"}
_FAULT_KEYS = {"kill": "kill", "hang": "hang", "raise": "fail"}
_CHOICES = {
    "dtype": ("float32", "float16", "bfloat16"),
    "pooling": ("mean", "cls", "none"),
    "task": tuple(KINDS),
}
_REVISION = re.compile(r"[0-9a-f]{40}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_POSITIVE = (
    "max_inputs",
    "max_request_bytes",
    "max_characters",
    "max_bytes",
    "max_tokens",
    "max_pixels",
    "batch_size",
    "batch_tokens",
    "time_limit_seconds",
)


class Catalogue:
    """The models that may be asked for, by name, in the file's order."""

    def __init__(self, specs: Iterable[ModelSpec]) -> None:
        self._specs = {spec.name: spec for spec in specs}

    def __iter__(self) -> Iterator[ModelSpec]:
        return iter(self._specs.values())

    def __len__(self) -> int:
        return len(self._specs)

    @property
    def names(self) -> tuple[str, ...]:
        """Every model's name."""
        return tuple(self._specs)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The pipeline tasks that some model serves."""
        return tuple(dict.fromkeys(spec.task for spec in self))

    def get(self, name: str) -> ModelSpec:
        """The spec of that name; raises UnknownModel."""
        try:
            return self._specs[name]
        except (KeyError, TypeError):
            raise UnknownModel.unknown("model", str(name), self.names) from None

    def default_for(self, task: str) -> ModelSpec:
        """The task's model with `default = true`, else its first; raises UnknownModel."""
        specs = [spec for spec in self if spec.task == task]
        if not specs:
            raise UnknownModel.because(
                "model", f'is needed: no model serves "{task}" (served: {", ".join(self.tasks)})'
            )
        return next((spec for spec in specs if spec.default), specs[0])

    def select(self, names: Iterable[str]) -> Catalogue:
        """A catalogue of only these models; raises UnknownModel."""
        return Catalogue([self.get(name) for name in names])


def load(path: Path) -> Catalogue:
    """Read a catalogue file. Raises CatalogueError, whose sentence names the file, the model and the key.

    Folders need not exist yet: senders read the same file on machines without the models.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CatalogueError(f"{path}: cannot be read: {error}") from error
    if not tables:
        raise CatalogueError(f"{path}: has no model")
    specs = [_spec(path, name, table) for name, table in tables.items()]
    for task in KINDS:
        defaults = [spec.name for spec in specs if spec.task == task and spec.default]
        if len(defaults) > 1:
            raise CatalogueError(f"{path}: {' and '.join(defaults)} are both the default for {task}")
    return Catalogue(specs)


def _spec(path: Path, name: str, table: Any) -> ModelSpec:
    def refuse(key: str, problem: str) -> CatalogueError:
        return CatalogueError(f"{path}: [{name}] {key}: {problem}")

    if not _NAME.fullmatch(name):
        raise refuse("name", "letters, digits, dots, dashes and underscores only, at most 100")
    if not isinstance(table, dict):
        raise CatalogueError(f"{path}: {name} must be a table, [{name}]")
    for key in table:
        if key not in _KEYS:
            raise refuse(key, f"unknown key. {suggestion(key, _KEYS)}")
    for key in ("task", "source"):
        if key not in table:
            raise refuse(key, "is missing")
    for key, choices in _CHOICES.items():
        if key in table and table[key] not in choices:
            raise refuse(key, f'"{table[key]}" is not served. {suggestion(str(table[key]), choices)}')
    kind = KINDS[table["task"]]
    values: dict[str, Any] = {
        "batch_size": kind.batch_size,
        "batch_tokens": kind.batch_tokens,
        "max_tokens": kind.max_tokens,
        **table,
    }
    for key in ("default", "normalize"):
        if not isinstance(values.get(key, False), bool):
            raise refuse(key, "must be true or false")
    for key in _POSITIVE:
        value = values.get(key, 1)
        allowed = (int, float) if key.endswith("_seconds") else (int,)
        if isinstance(value, bool) or not isinstance(value, allowed) or value <= 0:
            raise refuse(key, f"must be a number above 0, not {value!r}")
    values["source"] = _source(path, values["source"], values.get("revision"), refuse)
    values["options"] = _options(kind.options, values.get("options", {}), refuse)
    values["faults"] = _faults(values.get("faults", {}), refuse)
    return ModelSpec(name=name, **values)


def _source(path: Path, source: Any, revision: Any, refuse: Any) -> str:
    if not isinstance(source, str) or not source:
        raise refuse("source", "must be a folder or a Hugging Face id")
    if source.startswith((".", "/", "~")):
        if revision is not None:
            raise refuse("revision", "belongs to a Hugging Face id, not to a folder")
        return str((path.parent / Path(source).expanduser()).resolve())
    if not _HUB_ID.fullmatch(source):
        raise refuse("source", f'"{source}" is no Hugging Face id; a folder begins with "./", "../", "/" or "~"')
    if not isinstance(revision, str) or not _REVISION.fullmatch(revision):
        raise refuse("revision", f'"{source}" must be pinned to a commit: 40 hexadecimal digits')
    return source


def _options(known: Mapping[str, Option], given: Any, refuse: Any) -> Mapping[str, Option]:
    """The kind's options with the bounds and defaults that the table `options` gives for this model."""
    options = dict(known)
    if not isinstance(given, dict):
        raise refuse("options", "must be a table of tables")
    for name, table in given.items():
        if name not in known:
            raise refuse(f"options.{name}", f"unknown option. {suggestion(name, known)}")
        if not isinstance(table, dict):
            raise refuse(f"options.{name}", "must be a table")
        for key in table:
            if key not in _OPTION_KEYS:
                raise refuse(f"options.{name}.{key}", f"unknown key. {suggestion(key, _OPTION_KEYS)}")
            if key != "default" and (isinstance(table[key], bool) or not isinstance(table[key], (int, float))):
                raise refuse(f"options.{name}.{key}", f"must be a number, not {table[key]!r}")
        option = replace(known[name], **table)
        problem = option.problem_with(option.default) if option.default is not None else None
        if problem:
            raise refuse(f"options.{name}.default", problem)
        options[name] = option
    return options


def _faults(given: Any, refuse: Any) -> Faults:
    if not isinstance(given, dict):
        raise refuse("faults", "must be a table")
    for key, text in given.items():
        if key not in _FAULT_KEYS:
            raise refuse(f"faults.{key}", f"unknown key. {suggestion(key, _FAULT_KEYS)}")
        if not isinstance(text, str) or not text:
            raise refuse(f"faults.{key}", "must be the text that sets it off")
    return Faults(**{_FAULT_KEYS[key]: text for key, text in given.items()})
