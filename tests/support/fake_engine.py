"""For workers that are started with `--include tests.support.fake_engine`: their device processes hold no model.

All else is as ever: the worker, its pool and engine, a process a device. See `tests.support.fake_device`.
"""

from functools import partial
from pathlib import Path

from models.engine import Engine
from tasks.execution import engine_factory

engine_factory.Engine = partial(Engine, program="tests.support.fake_device")  # type: ignore[misc,assignment]

CATALOGUE = """
[fake]
task = "feature-extraction"
source = "{folder}"
default = true
batch_size = {batch_size}
time_limit_seconds = {time_limit_seconds}
example = "{seconds}"
"""


def write_catalogue(
    folder: Path, *, seconds: float = 0.02, batch_size: int = 8, time_limit_seconds: float = 60.0
) -> Path:
    """A catalogue of one model, each batch of which takes so many seconds."""
    source, path = folder / "fake", folder / "fake.toml"
    source.mkdir(exist_ok=True)
    path.write_text(
        CATALOGUE.format(
            folder=source,
            seconds=seconds,
            batch_size=batch_size,
            time_limit_seconds=time_limit_seconds,
        )
    )
    return path
