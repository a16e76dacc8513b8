"""One table of a catalogue file, checked in every key, as a spec."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from celery_inference.inputs import claims
from celery_inference.inputs.check import check_inputs, is_many
from celery_inference.specs.errors import CatalogueError, InvalidInput, suggestion
from celery_inference.specs.model_spec import Faults, ModelSpec
from celery_inference.specs.options import Option
from celery_inference.specs.pipeline_tasks import NOT_SERVED, PIPELINE_TASKS

KEYS = {f.name for f in fields(ModelSpec)} - {"name", "allow_unsafe", "default_size", "default_tokens"}
_OPTION_KEYS = {"default", "minimum", "maximum"}
_FAULT_KEYS = {"kill", "hang", "fail"}
_CHOICES = {
    "dtype": ("float32", "float16", "bfloat16"),
    "pooling": ("mean", "cls", "none"),
    "continuous": ("auto", "on", "off"),
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_REVISION = re.compile(r"[0-9a-f]{40}")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_LANE = re.compile(r"[A-Za-z0-9_-]{1,75}(\.fifo)?")  # an SQS queue's name
_ENDPOINT = re.compile(r"[A-Za-z0-9](-?[A-Za-z0-9]){0,62}")  # SageMaker's names
_OBJECTS = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w./-]*)?")
_FLAGS = ("default", "normalize", "isolate")
_SIZES = (
    "max_inputs",
    "max_request_bytes",
    "max_pairs",
    "max_result_bytes",
    "max_characters",
    "max_bytes",
    "max_tokens",
    "max_pixels",
    "max_beam_tokens",
    "batch_size",
    "batch_tokens",
    "memory_bytes",
    "endpoint_batches",
)
_BEAM_OPTIONS = ("num_beams", "max_new_tokens")
_MOST_ENDPOINT_BATCHES = 64
_LARGEST = 2**53  # the largest whole number that every reader of JSON keeps
_SECONDS = ("max_seconds", "time_limit_seconds", "deadline_seconds")
_LONGEST_SECONDS = 14 * 86_400  # no message of SQS lives longer


class ModelTable:
    """A model's table in a catalogue file. `spec` raises CatalogueError, which names file, model and key."""

    def __init__(self, path: Path, name: str, table: object) -> None:
        self._path = path
        self._name = name
        if not isinstance(table, dict):
            raise CatalogueError(f"{path}: {name} must be a table, [{name}]")
        self._table: dict[str, Any] = table

    def spec(self) -> ModelSpec:
        """The table as a spec, with its pipeline task's defaults where it says nothing."""
        table = self._table
        if not _NAME.fullmatch(self._name):
            raise self._wrong("name", "letters, digits, dots, dashes and underscores only, at most 100")
        if "allow_unsafe" in table:
            raise self._wrong(
                "allow_unsafe", "is no key of a catalogue; `celery-inference models check --help` says why"
            )
        for key in table:
            self._known("", key, KEYS, "key")
        for key in ("task", "source"):
            if key not in table:
                raise self._wrong(key, "is missing")
        if (task := table["task"]) in tuple(NOT_SERVED):
            raise self._wrong("task", f'"{task}" is not served: {NOT_SERVED[task]}')
        self._one_of("task", PIPELINE_TASKS)
        for key, choices in _CHOICES.items():
            self._one_of(key, choices)
        self._scalars()
        pipeline_task = PIPELINE_TASKS[table["task"]]
        options = self._options(pipeline_task.options)
        values: dict[str, Any] = {
            "batch_size": pipeline_task.batch_size,
            "batch_tokens": pipeline_task.batch_tokens,
            "max_tokens": pipeline_task.max_tokens,
            "max_beam_tokens": _beam_tokens(options),
            **table,
            "source": self._source(),
            "options": options,
            "faults": self._faults(),
            "default_size": "batch_size" not in table,
            "default_tokens": "max_tokens" not in table,
        }
        spec = ModelSpec(name=self._name, **values)
        self._beams(spec)
        self._example(spec)
        return spec

    def _wrong(self, key: str, problem: str) -> CatalogueError:
        return CatalogueError(f"{self._path}: [{self._name}] {key}: {problem}")

    def _known(self, prefix: str, key: str, known: Iterable[str], what: str) -> None:
        if key not in known:
            raise self._wrong(f"{prefix}{key}", f"unknown {what}. {suggestion(key, known)}")

    def _one_of(self, key: str, choices: Iterable[str]) -> None:
        value = self._table.get(key)
        if key in self._table and (not isinstance(value, str) or value not in choices):
            raise self._wrong(key, f'"{value}" is not served. {suggestion(str(value), choices)}')

    def _subtable(self, key: str) -> dict[str, Any]:
        given = self._table.get(key, {})
        if not isinstance(given, dict):
            raise self._wrong(key, f"must be a table, [{self._name}.{key}]")
        return given

    def _scalars(self) -> None:
        table = self._table
        for key in _FLAGS:
            if not isinstance(table.get(key, False), bool):
                raise self._wrong(key, "must be true or false")
        for key in _SIZES:
            value = table.get(key, 1)
            if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _LARGEST:
                raise self._wrong(key, f"must be a whole number above 0, as 2_000_000, not {value!r}")
        for key in _SECONDS:
            value = table.get(key, 1.0)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= _LONGEST_SECONDS:
                raise self._wrong(key, f"must be a number above 0 and at most {_LONGEST_SECONDS:,}, not {value!r}")
        self._endpoint()
        lane = table.get("lane", "inference")
        if not isinstance(lane, str) or not _LANE.fullmatch(lane):
            raise self._wrong("lane", f"must be the name of a queue, not {lane!r}")

    def _endpoint(self) -> None:
        table = self._table
        patterns = {"endpoint": (_ENDPOINT, "an endpoint"), "endpoint_objects": (_OBJECTS, "a place, as s3://bucket/x")}
        for key, (pattern, what) in patterns.items():
            value = table.get(key)
            if key in table and (not isinstance(value, str) or not pattern.fullmatch(value)):
                raise self._wrong(key, f"must be the name of {what}, not {value!r}")
        if "endpoint" not in table:
            for key in ("endpoint_batches", "endpoint_objects"):
                if key in table:
                    raise self._wrong(key, "belongs to a model with an endpoint")
        elif table.get("endpoint_batches", 1) > _MOST_ENDPOINT_BATCHES:
            raise self._wrong("endpoint_batches", f"must be at most {_MOST_ENDPOINT_BATCHES}: each is a thread")

    def _source(self) -> str:
        source, revision = self._table["source"], self._table.get("revision")
        if not isinstance(source, str) or not source:
            raise self._wrong("source", "must be a folder or a Hugging Face id")
        if source.startswith((".", "/", "~")):
            if revision is not None:
                raise self._wrong("revision", "belongs to a Hugging Face id, not to a folder")
            return str((self._path.parent / Path(source).expanduser()).resolve())
        if not _HUB_ID.fullmatch(source):
            problem = f'"{source}" is no Hugging Face id; a folder begins with "./", "../", "/" or "~"'
            raise self._wrong("source", problem)
        if not isinstance(revision, str) or not _REVISION.fullmatch(revision):
            raise self._wrong("revision", f'"{source}" must be pinned to a commit: 40 hexadecimal digits')
        return source

    def _options(self, known: Mapping[str, Option]) -> Mapping[str, Option]:
        """The pipeline task's options with the bounds and defaults that the table `options` gives for this model."""
        options = dict(known)
        for name, table in self._subtable("options").items():
            key = f"options.{name}"
            self._known("options.", name, known, "option")
            if not isinstance(table, dict):
                raise self._wrong(key, "must be a table")
            for part, value in table.items():
                self._known(f"{key}.", part, _OPTION_KEYS, "key")
                if part != "default" and not _is_number(value):
                    raise self._wrong(f"{key}.{part}", f"must be a number, not {value!r}")
            option = replace(known[name], **table)
            problem = option.problem_with(option.default) if option.default is not None else None
            if problem:
                raise self._wrong(f"{key}.default", problem)
            options[name] = option
        return options

    def _faults(self) -> Faults:
        given = self._subtable("faults")
        for key, text in given.items():
            self._known("faults.", key, _FAULT_KEYS, "key")
            if not isinstance(text, str) or not text:
                raise self._wrong(f"faults.{key}", "must be the text that sets it off")
        return Faults(**given)

    def _beams(self, spec: ModelSpec) -> None:
        """What a request without options asks for must be within the limit."""
        defaults = [spec.options[name].default for name in _BEAM_OPTIONS if name in spec.options]
        product = math.prod(default for default in defaults if isinstance(default, int))
        if product > spec.max_beam_tokens:
            problem = f"is {spec.max_beam_tokens:,}, and the defaults of the options come to {product:,}"
            raise self._wrong("max_beam_tokens", problem)

    def _example(self, spec: ModelSpec) -> None:
        """The example must be a request that a caller could send."""
        self._subtable("example_options")
        if spec.example is None:
            return
        if is_many(spec.example):
            raise self._wrong("example", "must be one input, not a list")
        try:
            if claims.found(spec, check_inputs(spec, spec.example, spec.example_options)[0]):
                raise self._wrong("example", "must hold its media, not a claim on them")
        except InvalidInput as error:
            raise self._wrong("example", str(error)) from None


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _beam_tokens(options: Mapping[str, Option]) -> int:
    """A limit on beams times new tokens that admits all that one beam may write."""
    known = options.get("max_new_tokens")
    return max(2048, int(known.maximum) if known is not None and known.maximum else 0)
