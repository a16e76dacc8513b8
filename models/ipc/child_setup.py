"""What every process that an engine starts does: it ends with its parent, and not before, and logs through it."""

from __future__ import annotations

import ctypes
import faulthandler
import logging
import os
import signal
import socket
import sys
import time
from typing import Any

from models.ipc.framing import Frames, Message

DUMP_SIGNAL = signal.SIGUSR2  # writes Python's frames of all threads
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def meet_the_parent() -> tuple[Frames, Message]:
    """The link to the parent, and the first message, which says what to set up.

    The first argument of the command line is its file descriptor, the second the parent's process id, the third the
    descriptor of a file for Python's frames at a crash. Ends the process where the parent has nothing to say any more.
    """
    link = Frames(socket.socket(fileno=int(sys.argv[1])))
    die_with(int(sys.argv[2]))
    if len(sys.argv) > 3:
        dump = int(sys.argv[3])
        faulthandler.enable(file=dump)
        faulthandler.register(DUMP_SIGNAL, file=dump)
    _leave_ending_to_the_parent()
    setup = link.receive()
    if setup is None:
        os._exit(0)
    return link, setup


def _leave_ending_to_the_parent() -> None:
    """Ignore what Ctrl-C and `kill` send to the whole process group."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)


def die_with(parent: int) -> None:
    """Be killed when the parent's thread that started us ends; that thread lives as long as the engine."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


class ToParent(logging.Handler):
    """Log records go to the parent, whose logging is the one that is set up."""

    def __init__(self, link: Frames) -> None:
        super().__init__()
        self._link = link

    def emit(self, record: logging.LogRecord) -> None:
        record.created = record.created or time.time()
        text: Any = self.format(record)
        try:
            self._link.send({"log": [record.levelno, record.name, text]})
        except OSError:
            self.handleError(record)
