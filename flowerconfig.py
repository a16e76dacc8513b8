"""Flower's own configuration file: `celery -A tasks flower` executes it when started in this folder.

Every public name that is one of Flower's options sets it, over FLOWER_… variables and under the command line.
"""

from tornado.options import options as _options

from celery_inference.results.dead_letter_queues import dead_letter_queues as _dead_letter_queues
from monitor.app.install import install as _install

# Flower's default is every address of the machine. Another one needs a login, see monitor/app/access_control.py.
address = _options.address or "127.0.0.1"
# Workers know by themselves that somebody watches; asking all of them every 5 s would cost more than their events.
enable_events = False
# Milliseconds. An inspection ends when all workers have answered; only those that are gone are waited for.
inspect_timeout = 3000.0

# Tasks that Flower remembers, some 7 KB each; its own default, 100,000, came to 700 MB.
max_tasks = _options.max_tasks if _options.max_tasks != 100_000 else 10_000

_install(_dead_letter_queues)
