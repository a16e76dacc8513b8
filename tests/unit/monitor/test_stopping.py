"""Flower ends at a signal that comes while it starts, whatever its main thread is doing just then."""

import subprocess
import sys

import pytest

from demo.processes import ROOT

# The signal comes between the start of the executor's first thread and the note of it, by which Python ends it.
PROGRAM = """
import os, signal, sys, threading
from concurrent.futures import ThreadPoolExecutor

import flower.command
from tornado.options import options

from monitor.app.flower_app import SqsFlower
from celery_inference.client.app import app

start = threading.Thread.start

def start_and_be_told_to_stop(thread):
    start(thread)
    if "ThreadPoolExecutor" in thread.name:
        os.kill(os.getpid(), getattr(signal, sys.argv[1]))

options.address = "127.0.0.1"
application = SqsFlower(options=options, capp=app)
signal.signal(signal.SIGTERM, flower.command.sigterm_handler)
threading.Thread.start = start_and_be_told_to_stop
application.start()
print("ended by itself")
"""


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGINT"])
def test_a_signal_within_the_start_of_a_thread_ends_flower(signal: str) -> None:
    broker = {"CELERY_INFERENCE_BROKER_URL": "sqs://local:local@127.0.0.1:9//"}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, signal], cwd=ROOT, env=broker, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    assert "ended by itself" in ended.stdout
