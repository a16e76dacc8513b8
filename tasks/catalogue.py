"""The catalogue of this process, read once from the file that the settings name."""

from functools import lru_cache
from pathlib import Path

import celery_inference.specs.catalogue
from celery_inference.specs.catalogue import Catalogue
from celery_inference.specs.errors import CatalogueError, suggestion
from celery_inference.specs.model_spec import ModelSpec
from celery_inference.sqs.lanes import INFERENCE, LANES, Lane
from tasks.celery import app


@lru_cache(maxsize=4)
def load(path: str) -> Catalogue:
    """The catalogue of that file, read once. Raises CatalogueError, also for a lane that is not declared."""
    catalogue = celery_inference.specs.catalogue.load(Path(path))
    for spec in catalogue:
        try:
            lane_of(spec)
        except CatalogueError as error:
            raise CatalogueError(f"{path}: {error}") from None
    return catalogue


def catalogue() -> Catalogue:
    """The models that may be asked for. Reads a file at the first call; raises CatalogueError."""
    return load(app.conf.inference_catalogue)


def lane_of(spec: ModelSpec) -> Lane:
    """The lane that the model's requests go to; raises CatalogueError for one that is not declared."""
    lanes = {lane.name: lane for lane in LANES if not lane.own_slots}  # those are for what is no inference
    if spec.lane is None:
        return INFERENCE
    if spec.lane not in lanes:
        raise CatalogueError(
            f'[{spec.name}] lane: "{spec.lane}" is no lane of requests. {suggestion(spec.lane, lanes)}'
        )
    return lanes[spec.lane]
