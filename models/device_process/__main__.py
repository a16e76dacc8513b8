"""The device process: `python -m models.device_process FD PARENT_PID`, started by
`models.supervision.supervisor`, never by hand.

It owns one device, loads its models once, says so, and then runs the batches that arrive on the socket FD until told
to stop. It ends when its parent does, whatever either is doing: by the end of the socket, and by the kernel's signal
on the parent's death.

    to it:    {"specs": …, …} once; {"run": number, "model", "inputs", "options", "memory_limits", "joins"}; {"load":
    spec};
              {"stop": true}
    from it:  {"loading": model}, {"loaded": model, …} or {"load_failed": sentence, "model"}; {"ready": versions};
              {"started": number}, {"done": number, "answers", "stats", "times", "ran_out", "memory"}, the answers
              as `models.ipc.answers` packs them;
              {"failed": sentence, "runs"}: the device's fault;
              {"poisoned": sentence, "runs", "traceback"}: perhaps those batches';
              {"log": …}
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
from typing import TYPE_CHECKING

from models.device_process import error_classification
from models.ipc.child_setup import ToParent, meet_the_parent
from models.ipc.framing import Frames, Message

if TYPE_CHECKING:
    from models.device_process.loader import Loader

_log = logging.getLogger("models.device")


def main() -> None:
    """Serve until stopped. Ends by os._exit: nothing here outlives a request, and CUDA's own exit may hang."""
    link, setup = meet_the_parent()
    logging.basicConfig(level=setup["log_level"], handlers=[ToParent(link)])
    _environment(setup)
    inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(link, inbox), name="models.device read", daemon=True).start()
    loader = _loader(link, setup)
    if not setup["keep_inputs"]:
        _close_the_output()
    link.send({"ready": loader.versions()})
    from models.device_process.memory import device_bytes
    from models.device_process.serve_loop import ServeLoop

    memory = device_bytes if setup["kind"] == "cuda" else dict
    steps = ServeLoop(link, loader.runners, loader.streams, overlap=setup["overlap"], load=loader.load, memory=memory)
    steps.serve(inbox)
    os._exit(0)


def _close_the_output() -> None:
    """From here on inputs are in this process, and libraries in C print what they like."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for output in (1, 2):
        os.dup2(nowhere, output)

    def tell(error: BaseException | None) -> None:
        if error is not None:
            _log.error("the device process fails: %s", error_classification.model_traceback(error, 0))

    sys.excepthook = lambda _kind, error, _traceback: tell(error)
    threading.excepthook = lambda raised: tell(raised.exc_value)


def _environment(setup: Message) -> None:
    """What torch, OpenMP and the hub read when they are imported, and so before."""
    os.environ["CUDA_VISIBLE_DEVICES"] = setup["visible"]
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    os.environ["OMP_NUM_THREADS"] = str(setup["threads"])
    # OpenMP's threads spin while they wait for each other. Where something else runs on the same cores, as the parent
    # does, that stalls them all: generation was five times slower beside a busy neighbour than with sleeping waits.
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    # Each pass asks for tensors of megabytes and frees them. In pages of 4 KB the system clears them anew each time;
    # with this torch asks for huge pages, which on a CPU gave four to six percent more throughput.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    if setup["offline"]:
        os.environ["HF_HUB_OFFLINE"] = "1"


def _read(link: Frames, inbox: queue.SimpleQueue[Message]) -> None:
    while (message := link.receive()) is not None:
        inbox.put(message)
    os._exit(0)  # the parent is gone; so is everybody who waits for an answer


def _loader(link: Frames, setup: Message) -> Loader:
    """Every model loaded and warm, as far as it can be; ends the process, with a sentence, when none is.

    At the engine's first start one that cannot be loaded is enough.
    """
    try:
        from models.device_process.loader import Loader

        loader = Loader(link, setup)
    except Exception as error:
        _log.debug("no device", exc_info=True)
        link.send({"load_failed": f"the device cannot be used: {type(error).__name__}: {error}", "model": None})
        os._exit(1)
    for spec in setup["specs"]:
        if not loader.load(spec) and setup["first"]:
            os._exit(1)
    if not loader.runners:
        os._exit(1)
    return loader


if __name__ == "__main__":
    main()
