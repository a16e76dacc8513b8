"""A device process without a model: `program="tests.support.fake_device"` of an engine. Starts in a tenth of a second.

It answers each text in capitals, a spec's `example` being the seconds that a batch takes. Texts make it misbehave:
"deadly" kills it, "hanging" never ends, "broken" and "assertion" are its own words for a failing device, "leaky" keeps
40 MB, "cramped" ran out of memory. Others fail alone: "faulty" each time, "hopeless" each time by no fault of its own,
"flaky" so only once, which a file in the spec's folder remembers. A file `broken` there fails the loading, a file
`deadly` kills it there, one `slow` holds it up while it is there. A file `sick` makes one device so, whichever process
comes first: it dies under each batch if the file says "dies", and else says of two batches of three that the device
fails.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from models.ipc.child_setup import die_with
from models.ipc.framing import Frames, Message

leaked: list[bytes] = []
sick: list[IO[str]] = []


def load(link: Frames, spec: Message) -> bool:
    """As `models.device_process.loader` does it."""
    link.send({"loading": spec["name"]})
    folder = Path(spec["source"])
    if (folder / "deadly").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    while (folder / "slow").exists():
        time.sleep(0.01)
    if (folder / "broken").exists():
        link.send({"load_failed": f'model "{spec["name"]}" cannot be loaded: it is broken', "model": spec["name"]})
        return False
    if (folder / "sick").exists():
        catch((folder / "sick").open("r+"))
    link.send({"loaded": spec["name"], "load_seconds": 0.0, "warm_seconds": 0.0})
    return True


def answer(text: str, folder: Path) -> Message:
    """What becomes of one input, alone."""
    if "faulty" in text:
        sentence = "inputs made the model raise"
        return {"error": "InputFailed", "sentence": sentence, "facts": {"model_traceback": "its own frames"}}
    seen = folder / sha256(text.encode()).hexdigest()
    if "hopeless" in text or ("flaky" in text and not seen.exists()):
        seen.touch()
        return {"error": "DeviceLost", "sentence": "the device was lost for a moment"}
    return {"ok": text.upper()}


def catch(file: IO[str]) -> None:
    """Be the sick one, unless another is; who dies of it hands it on to who takes its place."""
    with suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        sick.append(file)


def suffer(link: Frames, message: Message) -> None:
    """One batch of the sick one."""
    if "dies" in sick[0].read():
        os.kill(os.getpid(), signal.SIGKILL)
    if sick[0].tell() % 3 < 2:
        sick[0].write("x")
        sick[0].flush()
        link.send({"failed": "CUDA error: it is sick", "runs": [message["run"]]})
        os._exit(1)
    sick[0].truncate(0)
    sick[0].seek(0)


def run(link: Frames, message: Message, spec: Message) -> None:
    """One batch."""
    seconds = float(spec["example"] or 0.0)
    link.send({"started": message["run"]})
    if sick:
        suffer(link, message)
    texts: list[Any] = message["inputs"]
    everything = " ".join(texts)
    if "deadly" in everything:
        os.kill(os.getpid(), signal.SIGKILL)
    for word, verdict in (("broken", "failed"), ("assertion", "poisoned")):
        if word in everything:
            link.send({verdict: f"CUDA error: {word}", "runs": [message["run"]]})
            os._exit(1)
    if "hanging" in everything:
        time.sleep(10**6)
    if "leaky" in everything:
        leaked.append(b"x" * 40_000_000)
    if seconds:
        time.sleep(seconds)
    ran_out = [(64, 64 * len(texts))] if "cramped" in everything else []
    figures = {
        "rows": len(texts),
        "passes": 1,
        "longest": 64,
        "seconds": seconds,
        "size": len(message["memory_limits"]),
    }
    answers = [answer(text, Path(spec["source"])) for text in texts]
    link.send({"done": message["run"], "answers": answers, "stats": figures, "ran_out": ran_out})


def main() -> None:
    """Serve until stopped."""
    link = Frames(socket.socket(fileno=int(sys.argv[1])))
    die_with(int(sys.argv[2]))
    setup = link.receive() or os._exit(0)
    loaded = {}
    for spec in setup["specs"]:
        if load(link, spec):
            loaded[spec["name"]] = spec
        elif setup["first"]:
            os._exit(1)
    if not loaded:
        os._exit(1)
    link.send({"ready": {"fake": "1"}})
    while (message := link.receive()) is not None and "stop" not in message:
        if "load" in message:
            if load(link, message["load"]):
                loaded[message["load"]["name"]] = message["load"]
        else:
            run(link, message, loaded[message["model"]])
    os._exit(0)


if __name__ == "__main__":
    main()
