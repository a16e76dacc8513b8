"""Which batch size is best on this machine, and does preparing beside the forward pass pay?

One engine for each variant over the same model, all loaded, run in turns on the same texts; prints the medians of texts
a second and of padded over real tokens. On a GPU host it answers for the GPU, and otherwise for the CPU.
"""

import argparse
import json
import statistics
import time
from dataclasses import replace

from benchmarks.machine import machine
from benchmarks.main_job import MODEL, texts
from celery_inference.specs.model_spec import ModelSpec
from celery_inference.specs.pipeline_tasks import PIPELINE_TASKS
from models.devices import discover
from models.engine import Engine


def measure(engine: Engine, inputs: list[str]) -> dict[str, float]:
    """One run of all texts, each a request."""
    before = engine.stats()["models"]["one"]
    begun = time.perf_counter()
    for future in [engine.submit("one", [text]) for text in inputs]:
        future.result(600)
    seconds = time.perf_counter() - begun
    after = engine.stats()["models"]["one"]
    spent = {key: after[key] - before.get(key, 0) for key in ("tokens", "padded_tokens")}
    return {"texts_per_second": len(inputs) / seconds, "padded_over_real": spent["padded_tokens"] / spent["tokens"]}


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--texts", type=int, default=160)
    parser.add_argument("--sizes", type=int, nargs="+", default=[8, 16, 32])
    parser.add_argument("--words", type=int, nargs=2, default=(5, 200))
    arguments = parser.parse_args()
    pipeline_task = PIPELINE_TASKS["feature-extraction"]
    spec = ModelSpec("one", pipeline_task.task, str(MODEL), normalize=True, options=pipeline_task.options)
    engines = {
        f"batches of {size}{', overlapped' if overlap else ''}": Engine(
            [replace(spec, batch_size=size)], discover(), overlap=overlap
        )
        for size in arguments.sizes
        for overlap in (False, True)
    }
    inputs = texts(arguments.texts, *arguments.words)
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in engines}
    try:
        for engine in engines.values():
            engine.start(300)
            measure(engine, inputs[:16])
        for _ in range(arguments.rounds):
            for name, engine in engines.items():
                rounds[name].append(measure(engine, inputs))
    finally:
        for engine in engines.values():
            engine.stop(5)
    medians = {
        name: {key: statistics.median(one[key] for one in figures) for key in figures[0]}
        for name, figures in rounds.items()
    }
    print(json.dumps({"question": "batch size and overlap", "machine": machine(), "medians": medians}, indent=2))


if __name__ == "__main__":
    main()
