"""How Flower's process ends at SIGTERM or Ctrl-C: its loop is stopped, and nothing is raised.

Flower's own handler, and Python's for SIGINT, raise SystemExit or KeyboardInterrupt wherever the main thread happens to
be. Within `ThreadPoolExecutor.submit`, between the start of a thread and the note of it, that leaves a thread which
Python waits for without a bound when it exits: a Flower that met its signal at its start hung for ever.
"""

import signal
import threading
from collections.abc import Callable
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def stop_on_signals(loop: Any, stop: Callable[[], None]) -> None:
    """Call `stop` in the asyncio loop at the first signal, also at one that comes before the loop runs.

    A second signal ends the process as if nothing had been set up. A signal that is ignored, as a shell's background
    has it, stays so. Does nothing outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        return

    heeded = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]

    def once() -> None:
        for number in heeded:
            loop.remove_signal_handler(number)
        stop()

    for number in heeded:
        loop.add_signal_handler(number, once)
