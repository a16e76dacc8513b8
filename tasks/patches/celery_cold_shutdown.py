"""A patch of Celery 5.7.0: its cold shutdown, without what takes locks in a signal handler.

At SIGQUIT, and at a second SIGINT, `celery.apps.worker.on_cold_shutdown` cancels consumers and requests and stops the
pool inside of the handler, in the middle of whatever the main thread was doing. Where that was handing a task to the
pool, the handler waits for a lock that its own thread holds, and the worker hangs until it is killed. Without that
callback the handler says what it does, sends `worker_shutting_down` (tasks/worker/lifecycle.py releases what is held),
and sets the flag at which Celery's loop ends and terminates consumers and pool where it may wait for locks.

tests/unit/test_celery_cold_shutdown.py fails when Celery changes under this.
"""

import threading
from functools import partial

from celery.apps import worker
from celery.platforms import EX_FAILURE
from celery.signals import worker_shutting_down


def install() -> None:
    """For workers that start in this process from now on."""
    cold = partial(worker._shutdown_handler, how="Cold", exitcode=EX_FAILURE)
    worker.install_worker_term_hard_handler = partial(cold, sig="SIGQUIT")
    if worker.REMAP_SIGTERM == "SIGQUIT":  # Celery's own, for platforms that send SIGTERM alone
        worker.install_worker_term_handler = partial(cold, sig="SIGTERM")
    # A second signal interrupts the first one's handler. What the lock guards may be entered again: a list is read.
    worker_shutting_down.lock = threading.RLock()
