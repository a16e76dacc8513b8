"""To import the library and to send changes nothing that is the application's or another library's."""

from tests.support.guests import Guest

LOOKS = """
import functools, inspect, json, sys, threading, types, warnings
from importlib.metadata import entry_points

import billiard, billiard.context, billiard.pool, billiard.process
import boto3, botocore.client, botocore.session
import celery, celery.app.amqp, celery.app.base, celery.app.task, celery.app.trace, celery.backends.base
import celery.canvas, celery.loaders.base, celery.result, celery.signals, celery.utils.log
import kombu, kombu.connection, kombu.messaging, kombu.serialization, kombu.utils.json
import opentelemetry.trace, prometheus_client
import logging, os, signal, socket, sqlite3

OTHERS = ("billiard", "boto3", "botocore", "celery", "kombu", "opentelemetry", "prometheus_client", "vine")
KNOWN = sorted(name for name in sys.modules if name.partition(".")[0] in OTHERS)

def functions():
    '''Every function and class of modules of others, and what their classes hold, by identity.'''
    kinds = (types.FunctionType, types.BuiltinFunctionType, classmethod, staticmethod, property, type)
    found = {}
    for name in KNOWN:
        for key, value in vars(sys.modules[name]).items():
            if isinstance(value, kinds):
                found[name, key] = id(value)
            if isinstance(value, type) and value.__module__ == name:
                found |= {(name, key, part): id(held) for part, held in vars(value).items() if isinstance(held, kinds)}
    return found

def look():
    signals = {name: value for name, value in vars(celery.signals).items() if hasattr(value, "receivers")}
    return {
        "functions": functions(),
        "receivers": {name: len(value.receivers or ()) for name, value in signals.items()},
        "metrics": sorted(prometheus_client.REGISTRY._names_to_collectors),
        "collectors": sorted(type(one).__name__ for one in prometheus_client.REGISTRY._collector_to_names),
        "tracer provider": id(opentelemetry.trace._TRACER_PROVIDER),
        "serializers": sorted(kombu.serialization.registry._encoders),
        "accepted": sorted(kombu.serialization.registry._disabled_content_types),
        "json types": sorted(map(repr, kombu.utils.json._encoders)),
        "transports": sorted(kombu.transport.TRANSPORT_ALIASES.items()),
        "backends": sorted(celery.app.backends.BACKEND_ALIASES.items()),
        "current": celery.current_app.main,
        "default": celery._state.default_app.main,
        "finalizers": len(celery._state._on_app_finalizers),
        "sessions": id(boto3.DEFAULT_SESSION),
        "signals": [repr(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)],
        "loggers": [logging.root.level, len(logging.root.handlers), len(logging.root.filters)],
        "hooks": [id(sys.excepthook), id(threading.excepthook), id(sys.unraisablehook), id(warnings.showwarning)],
        "filters": len(warnings.filters),
        "environment": dict(os.environ),
        "path": list(sys.path),
        "finders": list(map(repr, sys.meta_path)),
    }

theirs = celery.Celery("shop", broker="memory://")
theirs.tasks
"""
# Celery imports its own modules with the first use of an application, and of a name.
WARM = """
for name in celery.__all__:
    getattr(celery, name)
celery.Celery("warm", set_as_current=False, broker="memory://").send_task("warm")
boto3.client("sqs", region_name="us-east-1")
KNOWN = sorted(name for name in sys.modules if name.partition(".")[0] in OTHERS)
before = look()
"""
USES = """
import celery_inference
from celery_inference import *
from celery_inference import app, feature_extraction
from celery import chain, chord, group

result = feature_extraction.delay("hello")
result.state
feature_extraction.apply_async(("hello",), link=feature_extraction.s())
group(feature_extraction.s("hello"), feature_extraction.s("hello")).delay()
chord([feature_extraction.s("hello")], feature_extraction.s()).delay()
after = look()
changed = {}
for key in ("functions", "receivers"):
    changed[key] = sorted(map(repr, set(after[key].items()) ^ set(before[key].items())))
changed |= {key: [before[key], after[key]] for key in before if before[key] != after[key] and key not in changed}
print(json.dumps({key: what for key, what in changed.items() if what}))
"""
REGISTERED = """
import json
from importlib.metadata import entry_points
found = {
    group: sorted(f"{one.name} = {one.value}" for one in entry_points(group=group) if "celery_inference" in one.value)
    for group in sorted(entry_points().groups)
}
print(json.dumps({group: names for group, names in found.items() if names}))
"""
LOADED = """
import json, sys
from celery_inference import feature_extraction
feature_extraction.delay("hello")
unwanted = ("prometheus_client", "opentelemetry", "pytest", "celery.contrib.pytest", "gevent", "torch", "flower")
print(json.dumps([name for name in unwanted if name in sys.modules]))
"""


def test_nothing_of_others_is_changed_by_importing_and_sending(guest: Guest) -> None:
    assert guest.run(LOOKS + WARM + USES) == {}


def test_the_look_would_see_a_change(guest: Guest) -> None:
    changes = """
celery.Celery.bugreport = lambda *_: None
prometheus_client.Counter("of_a_test", "A counter.")
receiver = lambda **_: None
celery.signals.before_task_publish.connect(receiver)
celery.Celery("another").set_default()
"""
    found = guest.run(LOOKS + WARM + changes + USES)
    assert found.keys() >= {"functions", "receivers", "metrics", "current", "default"}


def test_the_console_script_is_all_that_the_installed_library_registers(guest: Guest) -> None:
    assert guest.run(REGISTERED) == {"console_scripts": ["celery-inference = celery_inference.commands.main:main"]}


def test_no_library_of_metrics_traces_or_tests_is_loaded_by_itself(guest: Guest) -> None:
    assert guest.run(LOADED) == []
