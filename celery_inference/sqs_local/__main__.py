"""`python -m celery_inference.sqs_local`: the embedded SQS server."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from celery_inference.sqs_local.server import ServerOptions, StartError, run, say

DEFAULT_PORT = 9324
MAX_PORT = 65535


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= MAX_PORT):
        raise argparse.ArgumentTypeError(f"must be from 0 to {MAX_PORT}, not {text}")
    return int(text)


def _data() -> Path:
    """Beside what senders and workers keep by default; their settings are not imported, as no sibling is."""
    state = os.environ.get("CELERY_INFERENCE_STATE", "").strip()
    home = os.environ.get("XDG_STATE_HOME", "").strip() or "~/.local/state"
    return Path(state or f"{home}/celery-inference").expanduser() / "sqs"


def main() -> int:
    """Exit status: 0 after a signal, 1 when the disk fails while serving, 2 when the server cannot start."""
    parser = argparse.ArgumentParser(prog="python -m celery_inference.sqs_local", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=DEFAULT_PORT, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--data", type=Path, default=_data(), help="directory of the journal (%(default)s)")
    parser.add_argument("--memory", action="store_true", help="keep nothing: no journal, no data directory")
    parser.add_argument("--region", default="us-east-1", help="region in queue ARNs (default: %(default)s)")
    parser.add_argument("--stop-with-stdin", action="store_true", help="also stop when standard input ends")
    given = parser.parse_args()
    data = None if given.memory else given.data
    options = ServerOptions(given.host, given.port, data, given.region, given.stop_with_stdin)
    try:
        return run(options)
    except KeyboardInterrupt:
        return 0  # while it was still reading its journal
    except StartError as error:
        say(str(error), error=True)
        return 2


if __name__ == "__main__":
    sys.exit(main())
