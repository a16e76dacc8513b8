"""Modules of an application have the names it likes: ours is one package, and no other name is taken."""

import json

from tests.support.guests import Guest

NAMES = ("tasks", "models", "sqs", "monitor", "deploy", "demo")
SENDS = f"""
import json, sys
from celery_inference import app, feature_extraction

sent = feature_extraction.delay("hello")
import {", ".join(NAMES)}, celeryconfig
print(json.dumps({{
    "sent": sent.id,
    "theirs": [sys.modules[name].MINE for name in {NAMES}] + [celeryconfig.MINE],
    "broker": app.conf.broker_url,
}}))
"""
OTHER = """
import json
from celery import Celery
app = Celery("shop")
app.config_from_object("celeryconfig")
@app.task
def add(left, right): return left + right
from celery_inference import feature_extraction
feature_extraction.delay("hello")
add.delay(1, 2)
channel = app.connection_for_read().default_channel
print(json.dumps([app.conf.broker_url, app.conf.result_backend, channel._size("celery")]))
"""
TUTORIAL = """
from celery import Celery

app = Celery('tasks', broker='redis://tutorial.invalid:6379/7')

@app.task
def add(x, y):
    return x + y
"""


def test_modules_of_the_working_directory_stay_the_application_s(guest: Guest) -> None:
    guest.write({f"{name}.py": f"MINE = {name!r}" for name in NAMES})
    guest.write({"celeryconfig.py": "MINE = 'celeryconfig'\nbroker_url = 'memory://'"})
    found = guest.run(SENDS)
    assert found["theirs"] == [*NAMES, "celeryconfig"]
    assert found["broker"] == guest.environment["CELERY_INFERENCE_BROKER_URL"]
    assert [message["id"] for message in guest.sent()] == [found["sent"]]


def test_an_application_with_those_modules_has_a_celery_of_its_own(guest: Guest) -> None:
    guest.write({f"{name}.py": f"MINE = {name!r}" for name in NAMES})
    guest.write({"celeryconfig.py": "broker_url = 'memory://'\nresult_backend = 'cache+memory://'"})
    assert guest.run(OTHER) == ["memory://", "cache+memory://", 1]
    assert len(guest.sent()) == 1


def test_celery_s_tutorial_works_where_the_wheel_is_installed(guest: Guest) -> None:
    guest.write({"tasks.py": TUTORIAL})
    said = guest.call("python", "-m", "celery", "-A", "tasks", "report")
    assert "@tutorial.invalid:6379/7" in said, "Celery hides the password, also where there is none"
    assert guest.environment["CELERY_INFERENCE_BROKER_URL"] not in said
    program = "import json, tasks; print(json.dumps(sorted(n for n in tasks.app.tasks if not n.startswith('celery.'))))"
    assert guest.run(program) == ["tasks.add"]


def test_the_commands_take_no_module_of_the_application_for_a_worker_s(guest: Guest) -> None:
    guest.write(dict.fromkeys(("tasks.py", "models.py"), "raise SystemExit('the application was imported')"))
    said = guest.call("celery-inference", "models", "check", "all-minilm-l6-v2", status=1)
    assert "needs the code of a worker" in said
    rows = json.loads(guest.call("celery-inference", "models", "list", "--json"))
    assert "all-minilm-l6-v2" in [row["name"] for row in rows]
