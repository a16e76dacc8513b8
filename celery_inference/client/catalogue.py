"""The catalogue of this process, read once from the file that the settings name."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from celery_inference.catalogue import catalogue as catalogue_file
from celery_inference.catalogue.catalogue import Catalogue
from celery_inference.client.app import app
from celery_inference.client.lanes import lane_of_model
from celery_inference.specs.errors import CatalogueError


@lru_cache(maxsize=4)
def _read(path: str) -> Catalogue:
    return catalogue_file.load(Path(path))


def load(conf: Any) -> Catalogue:
    """The catalogue of these settings, read once. Raises CatalogueError, also for a lane that is not declared."""
    path = conf.inference_catalogue
    catalogue = _read(path)
    for spec in catalogue:
        try:
            lane_of_model(conf, spec)
        except CatalogueError as error:
            raise CatalogueError(f"{path}: {error}") from None
    return catalogue


def catalogue() -> Catalogue:
    """The models that may be asked for. Reads a file at the first call; raises CatalogueError."""
    return load(app.conf)
