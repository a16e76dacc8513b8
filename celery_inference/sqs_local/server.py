"""One server from start to stop: opens the data directory, binds, serves, and ends on a signal."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from celery_inference.sqs_local.dispatcher import Dispatcher
from celery_inference.sqs_local.http.server import IDLE_SECONDS, Connection
from celery_inference.sqs_local.journal.journal import Journal, JournalError

STOP_SECONDS = 0.5  # for answers that are on their way when a signal comes
_LOOPBACK = ("127.", "::1", "localhost")


class StartError(Exception):
    """The server cannot start: its port or data directory is taken, or cannot be used."""


@dataclass(frozen=True)
class ServerOptions:
    """Where to listen and what to keep. `data` None keeps nothing."""

    host: str
    port: int
    data: Path | None
    region: str
    stop_with_stdin: bool


class _UntilEnd(asyncio.Protocol):
    """Reads standard input, whose end says that the parent process is gone."""

    def __init__(self, stop: Callable[[int], None]) -> None:
        self._stop = stop

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop(0)


def run(options: ServerOptions) -> int:
    """`serve` on uvloop where it is installed (the extra `local`), asyncio elsewhere.

    Raises StartError, and KeyboardInterrupt while the journal is still being read.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(serve(options))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def serve(options: ServerOptions) -> int:
    """Runs until SIGTERM or SIGINT; gives the exit status. Raises StartError."""
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[int] = loop.create_future()

    def stop(status: int) -> None:
        if not stopped.done():
            stopped.set_result(status)

    def failed(error: OSError) -> None:
        say(f"the journal cannot be written: {error}; stopping, as what was answered would not be kept", error=True)
        stop(1)

    _allow_many_connections()
    journal = _open(options.data)
    try:
        loopback = options.host.startswith(_LOOPBACK)
        service = Dispatcher(journal, region=options.region, failed=failed, loopback=loopback)
        try:
            lost = service.start()
        except JournalError as error:
            raise StartError(str(error)) from error
        except OSError as error:
            raise _unusable(options.data, error) from error
        _spare_the_collector()
        if lost:
            say(
                f"cut off {lost} bytes behind the journal's last whole line, a write that was not finished; they are"
                " kept beside it, in a file .cut-OFFSET, if the disk had room",
                error=True,
            )
        connections: set[Connection] = set()
        try:
            server = await loop.create_server(
                lambda: Connection(service, connections), options.host, options.port, backlog=1024
            )
        except OSError as error:
            # asyncio words the system's errors in its own way, at length.
            number = error.errno or 0
            reason = os.strerror(number) if number > 0 else error.strerror
            raise StartError(f"cannot listen on {options.host}:{options.port}: {reason}") from error
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop, 0)
        if options.stop_with_stdin:
            await loop.connect_read_pipe(lambda: _UntilEnd(stop), sys.stdin)
        ending = asyncio.create_task(_end_idle(connections))
        _announce(options, server.sockets[0].getsockname()[1])
        status = await stopped
        ending.cancel()
        server.close()
        service.stop()
        await _finish(connections)
    finally:
        if journal is not None:
            journal.close()
    say("stopped")
    return status


def _open(data: Path | None) -> Journal | None:
    if data is None:
        return None
    try:
        return Journal(data)
    except JournalError as error:
        raise StartError(str(error)) from error
    except OSError as error:
        raise _unusable(data, error) from error


def _unusable(data: Path | None, error: OSError) -> StartError:
    return StartError(f"cannot use the data directory {data}: {error.strerror or error}")


def _allow_many_connections() -> None:
    """Each is an open file, of which many systems allow a process 1,024 unless it asks for more."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _spare_the_collector() -> None:
    """Messages are in no cycles: looking through 100,000 of them again and again would cost and find nothing."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 1_000)


def _announce(options: ServerOptions, port: int) -> None:
    if not options.host.startswith(_LOOPBACK):
        say(
            f"listening on {options.host} without any authentication: whoever reaches it can do anything",
            error=True,
        )
    host = f"[{options.host}]" if ":" in options.host else options.host
    where = "messages in memory only" if options.data is None else f"data in {options.data}"
    say(f"ready on http://{host}:{port}, {where}")


async def _end_idle(connections: set[Connection]) -> None:
    """Each is an open file: clients that are gone without a word must not use them up."""
    while True:
        await asyncio.sleep(IDLE_SECONDS / 10)
        before = time.monotonic() - IDLE_SECONDS
        for connection in list(connections):
            connection.end_if_idle(before)


async def _finish(connections: set[Connection]) -> None:
    """Lets answers out, then ends every connection."""
    for connection in list(connections):
        connection.end()
    deadline = asyncio.get_running_loop().time() + STOP_SECONDS
    while connections and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.01)


def say(text: str, *, error: bool = False) -> None:
    """One line to whoever reads, if anybody still does: neither that nor a full disk under a log ends the server."""
    stream = sys.stderr if error else sys.stdout
    try:
        print(f"celery_inference.sqs_local: {text}", file=stream, flush=True)
    except OSError:
        # What is left in the stream's buffer would fail again when Python flushes it at the end.
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
