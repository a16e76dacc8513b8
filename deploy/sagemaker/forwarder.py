"""The device process of a model with an endpoint: `python -m deploy.sagemaker.forwarder FD PARENT_PID`.

It says and hears what `models.device_process` does, and in place of a device has an endpoint, to which it
sends several
batches at once. Loading is one example that the endpoint answers; while it does not, its model is out.
"""

import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from celery_inference.specs.errors import ModelLoadError
from celery_inference.specs.model_spec import ModelSpec
from deploy.sagemaker.forwarding import BatchSuspected, EndpointFailed, Forwarding
from deploy.sagemaker.runtime import Refused, endpoint_of
from models.ipc.child_setup import ToParent, meet_the_parent
from models.ipc.framing import Frames, Message


class Forwarder:
    """The one model of this process."""

    def __init__(self, link: Frames, spec: ModelSpec) -> None:
        self._link, self._spec = link, spec
        self._forwarding: Forwarding | None = None
        self._threads = ThreadPoolExecutor(spec.endpoint_batches, thread_name_prefix="endpoint")
        self._ending = threading.Lock()

    def load(self) -> bool:
        """Ask the endpoint its example; whether it answers."""
        spec = self._spec
        self._link.send({"loading": spec.name})
        began = time.monotonic()
        try:
            assert spec.endpoint is not None, "the engine sends no others here"
            forwarding = Forwarding(spec, endpoint_of(spec.endpoint, spec.endpoint_objects, spec.endpoint_batches))
            forwarding.probe()
        except (ModelLoadError, Refused) as error:
            sentence = f'model "{spec.name}" cannot be reached: {error}'
            self._link.send({"load_failed": sentence, "model": spec.name})
            return False
        self._forwarding = forwarding
        facts = {"dtype": spec.dtype, "weights_bytes": 0, "peak_bytes": 0, "process_bytes": 0}
        example = {"example": forwarding.example, "example_options": forwarding.example_options}
        seconds = {"load_seconds": 0.0, "warm_seconds": time.monotonic() - began}
        self._link.send({"loaded": spec.name, **seconds, **facts, **example})
        return True

    def versions(self) -> dict[str, Any]:
        """Of what results are made with, as the container tells."""
        told = self._forwarding.versions if self._forwarding is not None else {}
        return {**told, "endpoint": str(self._spec.endpoint)}

    def start(self, message: Message) -> None:
        """Send a batch on, in a thread."""
        self._threads.submit(self._run, message)

    def _run(self, message: Message) -> None:
        number, inputs = message["run"], message["inputs"]
        forwarding = self._forwarding
        assert forwarding is not None, "the parent sends nothing to a model that is out"
        self._link.send({"started": number})
        began = time.monotonic()
        try:
            answers = forwarding.run(inputs, message["options"])
        except EndpointFailed as error:
            self._end({"failed": f"endpoint {self._spec.endpoint}: {error}", "runs": [number]})
        except BatchSuspected as error:
            self._end({"poisoned": str(error), "runs": [number]})
        except Exception as error:
            self._end({"failed": f"the forwarder failed: {type(error).__name__}: {error}", "runs": [number]})
        else:
            # Of the endpoint's time, which several batches share.
            seconds = (time.monotonic() - began) / self._spec.endpoint_batches
            stats = {"rows": len(inputs), "passes": 1, "longest": 0, "seconds": seconds, "forward_seconds": seconds}
            self._link.send({"done": number, "answers": answers, "stats": stats, "ran_out": []})

    def _end(self, verdict: Message) -> None:
        """Tell why, and end; the parent starts another process, and gives back what else was on its way."""
        with self._ending:  # the first word is the last
            self._link.send(verdict)
            os._exit(1)


def main() -> None:
    """Serve until stopped."""
    link, setup = meet_the_parent()
    logging.basicConfig(level=max(setup["log_level"], logging.WARNING), handlers=[ToParent(link)])
    forwarder = Forwarder(link, ModelSpec.from_json(setup["specs"][0]))
    if not forwarder.load() and setup["first"]:
        os._exit(1)
    link.send({"ready": forwarder.versions()})
    while (message := link.receive()) is not None and "stop" not in message:
        if "load" in message:
            forwarder.load()
        else:
            forwarder.start(message)
    os._exit(0)


if __name__ == "__main__":
    main()
