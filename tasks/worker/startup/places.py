"""At start, before models are loaded: the folder and the store that this worker writes to, and its name."""

import fcntl
import hashlib
import os
import tempfile
import uuid
from pathlib import Path
from typing import Any

from celery.utils.log import get_logger

from celery_inference.redaction import without_secret
from celery_inference.sqs.claim_check.stores import store_at
from celery_inference.sqs.errors import ClaimStoreError
from tasks.worker.startup.lasting_faults import is_lasting

logger = get_logger(__name__)


def check_state_folder(conf: Any) -> None:
    """Raise SystemExit, with one line, where the folder cannot be written: tunings and memory limits are kept there."""
    folder = Path(conf.inference_state)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"ready")
    except OSError as error:
        raise SystemExit(
            f"celery-inference: CELERY_INFERENCE_STATE is {str(folder)!r}, which cannot be written"
            f" ({error.strerror or error}): name a folder that this user may write to"
        ) from error


def check_claim_store(conf: Any) -> None:
    """Put one object into the store of large payloads, and remove it.

    Raises SystemExit, with one line, where no waiting mends what keeps it from that; else a warning.
    """
    url = conf.broker_transport_options.get("claim_check")
    if url is None:
        return
    store, key = store_at(url), uuid.uuid4().hex
    try:
        store.put(key, b"ready")
        store.remove(key)
    except ClaimStoreError as error:
        sentence = f"CELERY_INFERENCE_CLAIM_CHECK is {without_secret(url)!r}, which cannot be written: {error.cause}"
        if is_lasting(error):
            raise SystemExit(f"celery-inference: {sentence}") from error
        logger.warning("%s; the worker starts, and tries it again for each payload", sentence)


def claim_name(conf: Any, hostname: str) -> int:
    """Keep others on this machine from starting a worker of the same name at the same queues, while this process lives.

    Returns the descriptor of the lock, which ends with the process however that ends. Raises SystemExit, with one line.
    """
    whose = f"{conf.broker_url} {conf.broker_transport_options.get('broadcast_prefix')} {hostname}"
    folder = Path(conf.inference_state) / "workers"
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(
        folder / f"{hashlib.sha256(whose.encode()).hexdigest()[:32]}.lock", os.O_RDWR | os.O_CREAT, 0o600
    )
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise SystemExit(
            f"celery-inference: a worker called {hostname} runs on this machine: commands, attempts and Flower tell"
            " workers apart by their names; give this one another with -n, as in -n second@%h"
        ) from error
    return descriptor
