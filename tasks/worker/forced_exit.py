"""The end of a worker whose threads do not end by themselves."""

import os
import threading
from collections.abc import Callable

from celery.platforms import EX_FAILURE

from tasks.execution import attempts


def end_now() -> None:
    """End this process, whatever its threads do; what they have begun counts as no attempt.

    Device processes end with it. A result store that hangs is waited for `attempts.WRITE_SECONDS`. It starts a
    thread: a signal handler may call it only before there is work. Where none can be started it ends at once.
    """
    try:
        _start(attempts.WRITE_SECONDS, _exit)
        attempts.take_back_all()
    finally:
        _exit()


def end_after(seconds: float) -> None:
    """As `end_now`, when so much time has passed.

    Both threads start at once, because Python starts none any more while it waits for those that hang.
    """
    _start(seconds, end_now)
    _start(seconds + attempts.WRITE_SECONDS, _exit)


def _start(seconds: float, act: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()


def _exit() -> None:
    os._exit(EX_FAILURE)
