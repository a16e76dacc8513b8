"""The catalogue: a TOML file with one table a model, read once and checked in every key."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from celery_inference.catalogue.parser import ModelTable
from celery_inference.specs.errors import CatalogueError, UnknownModel
from celery_inference.specs.model_spec import ModelSpec
from celery_inference.specs.pipeline_tasks import PIPELINE_TASKS

DEFAULT_PATH = Path(__file__).resolve().parents[1] / "catalogue.toml"


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
            raise UnknownModel.unknown("model", name, self.names) from None

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
    specs = [ModelTable(path, name, table).spec() for name, table in tables.items()]
    for task in PIPELINE_TASKS:
        defaults = [spec.name for spec in specs if spec.task == task and spec.default]
        if len(defaults) > 1:
            raise CatalogueError(f"{path}: {' and '.join(defaults)} are both the default for {task}")
    return Catalogue(specs)
