"""Loads models in the device process, and tells the parent of each whether it could be."""

from __future__ import annotations

import logging
from importlib.metadata import version
from typing import Any

import torch
from transformers.utils import logging as transformers_logging

from celery_inference.specs.errors import ModelLoadError
from celery_inference.specs.model_spec import ModelSpec
from models.device_process.continuous_batching import Stream
from models.device_process.runner import Runner
from models.device_process.warmup import load
from models.ipc.framing import Frames, Message

_log = logging.getLogger("models.device")


class Loader:
    """`runners` are the models that are loaded, `streams` where their rows join.

    Constructing one takes hold of the device; raises what that raises.
    """

    def __init__(self, link: Frames, setup: Message) -> None:
        self.runners: dict[str, Runner] = {}
        self.streams: dict[str, Stream] = {}
        self._link, self._keep_inputs = link, setup["keep_inputs"]
        self._is_cuda = setup["kind"] == "cuda"
        transformers_logging.disable_progress_bar()
        torch.set_num_threads(setup["threads"])
        self._device = torch.device(setup["kind"])
        if self._is_cuda:
            torch.cuda.init()  # type: ignore[no-untyped-call]
            if setup["memory_fraction"] is not None:
                torch.cuda.set_per_process_memory_fraction(setup["memory_fraction"])

    def load(self, values: Message) -> bool:
        """Load and warm the model of a spec as JSON; whether it is loaded now."""
        spec = ModelSpec.from_json(values)
        self._link.send({"loading": spec.name})
        try:
            runner, stream, facts = load(spec, self._device)
        except Exception as error:
            _log.debug("loading %s failed", spec.name, exc_info=True)
            reason = str(error) if isinstance(error, ModelLoadError) else f"{type(error).__name__}: {error}"
            reason = " ".join(reason.split())[:600]
            sentence = f'model "{spec.name}" from {spec.source} cannot be loaded: {reason}'
            self._link.send({"load_failed": sentence, "model": spec.name})
            return False
        runner.keep_inputs = self._keep_inputs
        self.runners[spec.name] = runner
        if stream is not None:
            self.streams[spec.name] = stream
        else:
            self.streams.pop(spec.name, None)
        self._link.send({"loaded": spec.name, **facts})
        return True

    def versions(self) -> dict[str, Any]:
        """Of what results are made with."""
        versions = {name: version(name) for name in ("torch", "transformers", "tokenizers", "safetensors")}
        if torch.version.cuda is not None and self._is_cuda:
            versions["cuda"] = torch.version.cuda
        return versions
