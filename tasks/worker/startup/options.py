"""What `celery worker` and Celery's settings offer and this worker's pool cannot do: refused, each with a sentence."""

from collections.abc import Mapping
from typing import Any

import click
from click.core import ParameterSource

_LIMIT = (
    "a thread cannot be interrupted; `time_limit_seconds` of a model in the catalogue bounds its batches, and"
    " `expires` a request"
)
_CHILD = "device processes serve many requests at once; --max-memory-per-child replaces one that has grown"
_SIZE = "the pool has one size, by devices and batch sizes or --concurrency; `celery -A tasks autoscale` scales a fleet"
_POOL = "it needs its own pool, the default; start it without this option"

# By the names of the worker's options, and of the settings that say the same.
_OPTIONS = {
    "pool": ("--pool", _POOL),
    "autoscale": ("--autoscale", _SIZE),
    "time_limit": ("--time-limit", _LIMIT),
    "soft_time_limit": ("--soft-time-limit", _LIMIT),
    "max_tasks_per_child": ("--max-tasks-per-child", _CHILD),
    "pool_start_method": ("--pool-start-method", _POOL),
}
_SETTINGS = {
    "task_time_limit": _LIMIT,
    "task_soft_time_limit": _LIMIT,
    "worker_max_tasks_per_child": _CHILD,
}


def refuse_options(conf: Any, options: Mapping[str, Any]) -> None:
    """Raise SystemExit, with one line, for the first option or setting that would be taken and ignored."""
    for name, (option, why) in _OPTIONS.items():
        if _is_given(name, options):
            raise SystemExit(f"celery-inference: {option} has no effect on this worker: {why}")
    for name, why in _SETTINGS.items():
        if conf.get(name):
            raise SystemExit(
                f"celery-inference: the setting {name} = {conf.get(name)!r} has no effect on this worker: {why}"
            )


def refuse_time_limits(app: Any) -> None:
    """Raise SystemExit, with one line, for the first task that declares a time limit, which nothing here keeps."""
    for name, task in sorted(app.tasks.items()):
        for limit in ("time_limit", "soft_time_limit"):
            if (seconds := getattr(task, limit, None)) and not name.startswith("celery."):
                raise SystemExit(f"celery-inference: the task {name} has {limit}={seconds}: {_LIMIT}")


def _is_given(name: str, options: Mapping[str, Any]) -> bool:
    """On the command line, where there is one: Celery fills the pool in with its own name, which stands for ours."""
    context = click.get_current_context(silent=True)
    if context is not None and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
        return True
    value = options.get(name)
    if name == "pool":
        return isinstance(value, type) and not getattr(value, "loads_models", False)
    return bool(value)
