"""What each setting may be: values as they are written in the environment or given to `configure`, checked.

Every function takes the name under which the value was given, for the sentence of its SettingError.
"""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from celery.exceptions import ImproperlyConfigured
from click import ClickException

from celery_inference.redaction import without_secret
from celery_inference.specs.errors import DeploymentError
from celery_inference.sqs import limits
from celery_inference.sqs.broadcast.queue_names import MAX_PREFIX_CHARACTERS, is_prefix
from celery_inference.sqs.claim_check.store_url import split_store_url
from celery_inference.sqs.errors import OptionError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MIN_LEASE_SECONDS = 5  # renewed at a third of its length: shorter ones are lost to one slow answer
MAX_KEPT_CHARACTERS = 100_000
MAX_QUEUE_PREFIX_CHARACTERS = 40  # of the 80 of a queue's name


class SettingError(DeploymentError, ClickException, ImproperlyConfigured):
    """A setting has a value that cannot be.

    An ImproperlyConfigured for applications; a ClickException, so that `celery` prints its one sentence.
    """

    def __init__(self, name: str, value: str, allowed: str) -> None:
        super().__init__(f"{name} is {value!r}: {allowed}.")

    def __str__(self) -> str:
        return self.message


class NearMissError(SettingError):
    """A variable that looks like a setting and is none: a worker must not start without what it was meant to say."""

    def __init__(self, sentence: str) -> None:
        ClickException.__init__(self, f"{sentence}.")


def broker_url(name: str, value: str) -> str:
    """`sqs://` for AWS, or `sqs://KEY:SECRET@HOST:PORT//`."""
    allowed = "it must be sqs:// for AWS, or sqs://KEY:SECRET@HOST:PORT//, a / in SECRET written %2F"
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise SettingError(name, without_secret(value), allowed) from None
    if parts.scheme != "sqs" or (parts.hostname and port is None):
        raise SettingError(name, without_secret(value), allowed)
    return value


def is_local(url: str) -> bool:
    """Whether an endpoint is on loopback, where the embedded server is, and nobody else who would make its queues."""
    return urlsplit(url).hostname in LOOPBACK


def result_backend(name: str, value: str) -> str:
    """`sqlite:///FILE` with an absolute path, `dynamodb://REGION/TABLE`, or the URL of one of Celery's backends."""
    from celery.app.backends import BACKEND_ALIASES

    scheme = value.partition("://")[0].partition("+")[0]
    known = sorted({"sqlite", *BACKEND_ALIASES} - {"rpc", "disabled"})
    if "://" not in value or scheme not in known:
        raise SettingError(
            name,
            without_secret(value),
            "it must be sqlite:///FILE, dynamodb://REGION/TABLE, redis://HOST:PORT/DB or a URL of one of Celery's"
            " result backends"
            f" ({', '.join(known)})",
        )
    if scheme == "sqlite":
        return _sqlite_url(name, value)
    if scheme == "dynamodb" and not _is_table(value):
        allowed = (
            "a table is written dynamodb://REGION/TABLE, or dynamodb://KEY:SECRET@HOST:PORT/TABLE, without options"
        )
        raise SettingError(name, without_secret(value), allowed)
    return value


def _sqlite_url(name: str, value: str) -> str:
    file = value.removeprefix("sqlite:///")
    if file == value or not file or Path(file).is_dir():
        raise SettingError(name, without_secret(value), "a SQLite file is written sqlite:///FILE")
    # A relative path would be another file in each folder that a sender or worker is started in.
    return f"sqlite:///{Path(file).expanduser().resolve()}"


def _is_table(url: str) -> bool:
    try:
        parts = urlsplit(url)
        both = bool(parts.username) == bool(parts.password)
        named = bool(re.fullmatch(r"/[A-Za-z0-9_.-]{3,255}/?", parts.path))
        return both and parts.port != 0 and not parts.query and named
    except ValueError:
        return False


def file(name: str, value: str) -> str:
    """The absolute path of a TOML file that exists."""
    path = Path(value).expanduser().resolve()
    if not path.is_file():
        raise SettingError(name, value, "it must be the path of a TOML file that exists")
    return str(path)


def folder(name: str, value: str) -> str:
    """The absolute path of a folder, which need not exist yet."""
    path = Path(value).expanduser().resolve()
    if path.exists() and not path.is_dir():
        raise SettingError(name, value, "it must be the path of a folder, which need not exist yet")
    return str(path)


def model_names(name: str, value: str) -> tuple[str, ...]:
    """Names of models, separated by commas; none for an empty text."""
    names = tuple(model.strip() for model in value.split(",") if model.strip())
    if value and not names:
        raise SettingError(name, value, "it must be names of models, separated by commas")
    return names


def devices(name: str, value: str) -> str:
    """`auto`, `cpu`, or `cpu:N`."""
    kind, separator, count = value.partition(":")
    counted = separator == ":" and _is_number(count) and 1 <= int(count) <= 64
    if value not in ("auto", "cpu") and not (kind == "cpu" and counted):
        raise SettingError(name, value, "it must be auto, cpu, or cpu:N with N from 1 to 64")
    return value


def broadcast(name: str, value: str) -> str | None:
    """How the names of broadcast queues begin; None for `off`."""
    if value.lower() == "off":
        return None
    if not is_prefix(value):
        allowed = f"it must be off, or 1 to {MAX_PREFIX_CHARACTERS} letters, digits, hyphens and underscores"
        raise SettingError(name, value, allowed)
    return value


def queue_prefix(name: str, value: str) -> str:
    """How the names of all queues of a deployment begin; empty for none."""
    if not re.fullmatch(rf"[A-Za-z0-9_-]{{0,{MAX_QUEUE_PREFIX_CHARACTERS}}}", value):
        allowed = f"it must be at most {MAX_QUEUE_PREFIX_CHARACTERS} letters, digits, hyphens and underscores"
        raise SettingError(name, value, allowed)
    return value


def claim_check(name: str, value: str) -> str | None:
    """Where large payloads are kept; None for `off`."""
    if value.lower() == "off":
        return None
    try:
        split_store_url(value)
    except OptionError:
        raise SettingError(
            name, without_secret(value), "it must be off, s3://BUCKET/PREFIX or file:///FOLDER, without credentials"
        ) from None
    return value


def whole_number(least: int, most: int) -> Callable[[str, str], int]:
    """A check for whole numbers within these bounds."""

    def check(name: str, value: str) -> int:
        if not _is_number(value) or not least <= int(value) <= most:
            raise SettingError(name, value, f"it must be a whole number from {least} to {most}")
        return int(value)

    return check


def number(least: float, most: float) -> Callable[[str, str], float]:
    """A check for numbers within these bounds."""

    def check(name: str, value: str) -> float:
        try:
            found = float(value)
        except ValueError:
            found = float("nan")
        if not least <= found <= most:
            raise SettingError(name, value, f"it must be a number from {least:g} to {most:g}")
        return found

    return check


def one_of(*allowed: str) -> Callable[[str, str], str]:
    """A check for one of these words."""

    def check(name: str, value: str) -> str:
        if value not in allowed:
            raise SettingError(name, value, f"it must be {', '.join(allowed[:-1])} or {allowed[-1]}")
        return value

    return check


def _is_number(value: str) -> bool:
    return value.isascii() and value.isdecimal()


lease_seconds = whole_number(MIN_LEASE_SECONDS, limits.MAX_VISIBILITY_SECONDS)
backoff_seconds = number(0, limits.MAX_VISIBILITY_SECONDS)
