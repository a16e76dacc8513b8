"""A thread of the worker that protects its host while it works, and ends the worker when its host is to go.

`CELERY_INFERENCE_HOST` names the platform; one worker a host, for two would each speak for the whole of it.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from celery.utils.log import get_logger
from celery.worker import state

from celery_inference.log_events import event
from celery_inference.sqs.api.fault_log import FaultLog
from tasks.hosts.ec2 import Ec2Host
from tasks.hosts.ecs import EcsHost
from tasks.hosts.host import Host, HostError, Shield
from tasks.hosts.kubernetes import KubernetesHost

logger = get_logger(__name__)

ROUND_SECONDS = 1.0
NOTICE_SECONDS = 5.0
# sysexits(3), EX_TEMPFAIL; the systemd units do not start a worker again that ended so.
HOST_IS_GOING = 75

HOSTS: dict[str, Callable[[str], Host]] = {"ec2": Ec2Host, "ecs": EcsHost, "kubernetes": KubernetesHost}


class Guard:
    """Asks and tells one host, in one thread; what fails is logged rarely, and tried again."""

    def __init__(self, host: Host, busy: Callable[[], bool], leave: Callable[[str], None]) -> None:
        self._host, self._busy, self._leave = host, busy, leave
        self._shield = Shield(host.protection_lasts_seconds)
        self._faults = FaultLog()
        self._not_before = 0.0
        self._asked_at = -NOTICE_SECONDS
        self._left = False

    def round(self, now: float) -> None:
        """Once each ROUND_SECONDS; `now` in monotonic seconds. Blocks on the platform's API."""
        if not self._left and now - self._asked_at >= NOTICE_SECONDS:
            self._asked_at = now
            if notice := self.notice():
                self._left = True
                self._leave(notice)
        wanted = self._shield.wanted(now, busy=self._busy())
        if wanted is None or now < self._not_before:
            return
        try:
            self._host.protect(wanted)
        except HostError as error:
            self._not_before = now + NOTICE_SECONDS
            self._faults.failed("protecting the host", error)
        else:
            self._shield.said(now, wanted)
            self._faults.succeeded("protecting the host")

    def notice(self) -> str | None:
        """What the host's platform says of its end; None also where it does not answer."""
        try:
            notice = self._host.notice()
        except HostError as error:
            self._faults.failed("asking for the host's end", error)
            return None
        self._faults.succeeded("asking for the host's end")
        return notice


def start_host_guard(conf: Any) -> None:
    """Guard until the process has ended, because until then what runs is finished; where a platform is named.

    Raises SystemExit where the host is about to go: a supervisor must not start a worker on it again.
    """
    if conf.inference_host is None:
        return
    guard = Guard(HOSTS[conf.inference_host](conf.inference_host_address), _holds_deliveries, _leave)
    if notice := guard.notice():
        logger.warning("%s: no worker is started", notice)
        raise SystemExit(HOST_IS_GOING)
    threading.Thread(target=_run, args=(guard,), name="host-guard", daemon=True).start()


def _run(guard: Guard) -> None:
    while True:
        try:
            guard.round(time.monotonic())
        except Exception:
            logger.exception("the host's guard failed; it goes on")
        time.sleep(ROUND_SECONDS)


def _holds_deliveries() -> bool:
    return bool(state.reserved_requests)


def _leave(notice: str) -> None:
    logger.warning("%s: this worker stops", notice, extra=event("worker_stops", cause=notice))
    os.kill(os.getpid(), signal.SIGTERM)
