"""A Django project with Celery's standard layout, before and after the library is imported."""

import pytest

from tests.support.guests import Guest

SETTINGS = """
SECRET_KEY = "of a test"
INSTALLED_APPS = ["shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "shop.sqlite"}}
USE_TZ = True
CELERY_BROKER_URL = "memory://"
CELERY_RESULT_BACKEND = "cache+memory://"
"""
CELERY = """
import os
from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")
app = Celery("proj")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
"""
TASKS = """
from celery import shared_task

@shared_task
def mail(address):
    return address
"""
LIBRARY = """
from celery_inference import app as ours, feature_extraction, infer
ours.tasks
"""
PROJECT = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "proj.settings"
import django
django.setup()
import proj
"""
USES = """
import json, threading
from celery import _state, current_app
from shop.tasks import mail

found = []

def look():
    mail.delay("somebody")
    found.append({
        "current": current_app.main,
        "default": _state.default_app.main,
        "of a shared task": mail.app.main,
        "known to the guest": sorted(name for name in proj.celery_app.tasks if not name.startswith("celery.")),
        "sent by us": feature_extraction.delay("hello").id,
    })

look()
threads = [threading.Thread(target=look) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
channel = proj.celery_app.connection_for_read().default_channel
print(json.dumps({"looks": found, "theirs": channel._size("celery"), "ours": ours.main}))
"""
COMMITS = """
import json, os
import boto3
from django.db import transaction

keys = {"region_name": "us-east-1", "aws_access_key_id": "local", "aws_secret_access_key": "local"}
client = boto3.client("sqs", endpoint_url=os.environ["SQS_ENDPOINT"], **keys)

def depth():
    names = ["ApproximateNumberOfMessages"]
    urls = client.list_queues().get("QueueUrls", [])
    asked = [client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"] for url in urls]
    return sum(int(found[names[0]]) for found in asked)

with transaction.atomic():
    feature_extraction.delay_on_commit("hello")
    feature_extraction.apply_async_on_commit(("hello",), task_id="committed")
    within = depth()
after = depth()
try:
    with transaction.atomic():
        feature_extraction.delay_on_commit("hello")
        raise KeyError
except KeyError:
    pass
rolled_back = depth()
feature_extraction.delay_on_commit("hello")
print(json.dumps([within, after, rolled_back, depth()]))
"""
ORDERS = {"the library first": LIBRARY + PROJECT, "the project first": PROJECT + LIBRARY}


@pytest.fixture
def project(guest: Guest) -> Guest:
    """The guest, a project."""
    guest.write(
        {
            "proj/__init__.py": "from .celery import app as celery_app\n__all__ = ('celery_app',)\n",
            "proj/settings.py": SETTINGS,
            "proj/celery.py": CELERY,
            "shop/__init__.py": "",
            "shop/tasks.py": TASKS,
        }
    )
    return guest


@pytest.mark.parametrize("order", ORDERS)
def test_the_project_s_application_stays_the_current_one(project: Guest, order: str) -> None:
    found = project.run(ORDERS[order] + USES)
    assert found["ours"] == "celery_inference"
    assert len(found["looks"]) == 5
    for look in found["looks"]:
        assert (look["current"], look["default"], look["of a shared task"]) == ("proj", "proj", "proj")
        assert look["known to the guest"] == ["shop.tasks.mail"]
    assert found["theirs"] == 5
    assert sorted(message["id"] for message in project.sent()) == sorted(look["sent by us"] for look in found["looks"])


@pytest.mark.parametrize("order", ORDERS)
def test_requests_are_sent_when_a_transaction_is_committed(project: Guest, order: str) -> None:
    assert project.run(ORDERS[order] + COMMITS) == [0, 2, 2, 3]
    assert "committed" in [message["id"] for message in project.sent()]
