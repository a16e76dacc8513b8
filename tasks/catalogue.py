"""The catalogue of this process, read once from the file that the settings name."""

from functools import lru_cache
from pathlib import Path

from models.catalogue import Catalogue, load
from tasks.celery import app


@lru_cache(maxsize=4)
def _load(path: str) -> Catalogue:
    return load(Path(path))


def catalogue() -> Catalogue:
    """The models that may be asked for. Reads a file at the first call; raises CatalogueError."""
    return _load(app.conf.inference_catalogue)
