#!/usr/bin/env bash
# Celery 5.7.0: a group, chain or link of tasks of two applications is published whole through the broker of the
# application that sends first, without a word, although each task knows its own application and broker. The worker
# there does not know the other application's tasks.
#
# Seen: both tasks of the group are on the first application's broker. So are the first tasks of chain and link, in whose
# messages the second's task travels. Nothing is on the second's.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet celery==5.7.0 kombu==5.7.0
cd "$folder"
mkdir one two
cat >probe.py <<'PY'
import json
from pathlib import Path

from celery import Celery, chain, group


def application(name):
    app = Celery(name, broker="filesystem://", backend="cache+memory://", set_as_current=False)
    folders = {"data_folder_in": name, "data_folder_out": name, "control_folder": f"{name}-control"}
    app.conf.broker_transport_options = folders
    return app


one, two = application("one"), application("two")


@one.task(name="one.task", shared=False)
def first(number):
    return number


@two.task(name="two.task", shared=False)
def second(number):
    return number


def sent(name):
    messages = [json.loads(path.read_text()) for path in sorted(Path(name).glob("*.msg"))]
    for path in Path(name).glob("*.msg"):
        path.unlink()
    return sorted(message["headers"]["task"] for message in messages)


group(first.s(1), second.s(2)).apply_async()
print("group:", "one has", sent("one"), "two has", sent("two"))
chain(first.s(1), second.s()).apply_async()
print("chain:", "one has", sent("one"), "two has", sent("two"))
first.apply_async((1,), link=second.s())
print("link:", "one has", sent("one"), "two has", sent("two"))
PY
seen=$("$folder/env/bin/python" probe.py)
echo "$seen"
[ "$seen" = "group: one has ['one.task', 'two.task'] two has []
chain: one has ['one.task'] two has []
link: one has ['one.task'] two has []" ]
