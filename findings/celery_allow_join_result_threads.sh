#!/usr/bin/env bash
# Celery 5.7.0: `allow_join_result()` sets a switch of the whole process and puts back what it found. In a worker's
# threads pool two chords that end at the same moment take it from each other: one leaves, and the other's next read of a
# part raises, although every part succeeded. The chord's body then fails.
#
# Seen: RuntimeError "Never call result.get() within a task!" inside of `with allow_join_result()`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet celery==5.7.0
cd "$folder"
cat >probe.py <<'PY'
import threading

from celery import Celery
from celery._state import _set_task_join_will_block
from celery.result import allow_join_result

app = Celery("app", broker="memory://", backend="cache+memory://")
app.backend.store_result("part", 5, "SUCCESS")
_set_task_join_will_block(True)  # as in a worker's process
entered, left = threading.Event(), threading.Event()


def other():
    with allow_join_result():
        entered.set()
        left.wait(10)


def ask():
    try:
        return app.AsyncResult("part").get(timeout=5)
    except RuntimeError as error:
        return f"RuntimeError: {str(error).split('!')[0]}!"


thread = threading.Thread(target=other)
thread.start()
entered.wait(10)
with allow_join_result():
    print("both inside:", ask())
    left.set()
    thread.join()
    print("the other has left:", ask())
PY
seen=$("$folder/env/bin/python" probe.py)
echo "$seen"
[ "$seen" = "both inside: 5
the other has left: RuntimeError: Never call result.get() within a task!" ]
