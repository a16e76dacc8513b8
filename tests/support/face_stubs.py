"""Writes celery_inference/__init__.pyi from the table of pipeline tasks and their options.

    python -m tests.support.face_stubs --write

Every task gets a class of its own, so that type checkers know its inputs, its options with their defaults and choices,
and its answers. Nothing in it needs types of Celery, which ships none; a signature is Celery's where those are known.
"""

import argparse
import inspect
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

from celery_inference.specs.options import Option
from celery_inference.specs.pipeline_tasks import PIPELINE_TASKS, PipelineTask

STUB = Path(__file__).resolve().parents[2] / "celery_inference" / "__init__.pyi"

# By medium, or by task for inputs of several parts.
INPUTS: Mapping[str, str] = {
    "text": "str",
    "chat": "str | Chat",
    "image": "Media",
    "audio": "Media",
    "video": "Media",
    "table-question-answering": "Table",
    "text-classification": "str | TextPair",
    "decision": "DecisionInput",
    "keypoint-matching": "ImagePair",
    "document-question-answering": "Document",
    "image-text-to-text": "ImageText | ImageChat",
}
# Of one input; docs/pipeline-tasks.md says the same.
ANSWERS: Mapping[str, str] = {
    "text-classification": "list[LabelScore]",
    "token-classification": "list[Entity]",
    "feature-extraction": "list[float]",
    "zero-shot-classification": "LabelScores",
    "fill-mask": "list[Filling]",
    "text-generation": "list[GeneratedText]",
    "text-to-audio": "Sound",
    "table-question-answering": "TableAnswer",
    "decision": "dict[str, Any]",
    "image-classification": "list[LabelScore]",
    "image-feature-extraction": "list[float]",
    "image-segmentation": "list[ImageSegment]",
    "object-detection": "list[Detection]",
    "depth-estimation": "DepthMap",
    "zero-shot-image-classification": "list[LabelScore]",
    "zero-shot-object-detection": "list[Detection]",
    "keypoint-matching": "list[KeypointMatch]",
    "document-question-answering": "list[Answer]",
    "image-text-to-text": "list[GeneratedText]",
    "automatic-speech-recognition": "Transcript",
    "audio-classification": "list[LabelScore]",
    "zero-shot-audio-classification": "list[LabelScore]",
    "video-classification": "list[LabelScore]",
}
TYPES = {
    "int": "int",
    "float": "float",
    "bool": "bool",
    "str": "str",
    "template": "str",
    "strings": "list[str] | tuple[str, ...]",
}

HEAD = """\
# Written by `python -m tests.support.face_stubs --write`: change that, or the table of pipeline tasks, and not this.
# mypy: disable-error-code="overload-overlap"
# pyright: reportOverlappingOverload=false
# A text is a sequence of texts, and the first overload that fits counts.
from collections.abc import Iterable, Sequence
from typing import Any, Literal, Required, TypedDict, TypeVar, Unpack, overload

from celery_inference import errors as errors
from celery_inference.client.app import Application
from celery_inference.settings import configure as configure
from celery_inference.types import (
{names}
)

__all__ = [
{public}
]

app: Application
_T = TypeVar("_T")

def upload(data: bytes | bytearray | memoryview) -> Upload: ...
def delete_upload(kept: Upload) -> None: ...
def provenance(result: Outcome) -> dict[str, Any] | None: ...
def results_and_errors(answer: Sequence[Row[_T]]) -> tuple[list[_T | None], dict[int, errors.InferenceError]]: ...

class _Task:
    name: str
    app: Application
    backend: Any

    def AsyncResult(self, task_id: str) -> Result[Any]: ...
    def signature(self, args: Any = None, kwargs: Any = None, **options: Any) -> Signature[Any]: ...
    def map(self, it: Iterable[Any]) -> Signature[Any]: ...
    def starmap(self, it: Iterable[Any]) -> Signature[Any]: ...
    def chunks(self, it: Iterable[Any], n: int) -> Signature[Any]: ...
    def apply_async_on_commit(self, args: Any = None, kwargs: Any = None, **sending: Unpack[SendOptions]) -> None: ...

class _Infer(_Task):
    def __call__(self, model: str, inputs: Any, *, return_errors: bool = False, **options: Any) -> Any: ...
    def delay(self, model: str, inputs: Any, *, return_errors: bool = False, **options: Any) -> Result[Any]: ...
    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        **sending: Unpack[SendOptions],
    ) -> Result[Any]: ...
    def s(
        self, model: str = ..., inputs: Any = ..., *, return_errors: bool = False, **options: Any
    ) -> Signature[Any]: ...
    def si(self, model: str, inputs: Any, *, return_errors: bool = False, **options: Any) -> Signature[Any]: ...
    def delay_on_commit(self, model: str, inputs: Any, *, return_errors: bool = False, **options: Any) -> None: ...

infer: _Infer
"""
OTHERS = ("app", "configure", "delete_upload", "errors", "infer", "provenance", "results_and_errors", "upload")
# What `return_errors` is: left out, or given; and, where the answer is nobody's to type, either.
_WITHOUT, _WITH, _EITHER = "Literal[False] = False", "Literal[True]", "bool = False"


def stub() -> str:
    """The whole file, as ruff formats it."""
    classes = "\n".join(line for kind in PIPELINE_TASKS.values() for line in _class(kind))
    used = {word for word in _words(classes + HEAD) if word in _public_types()}
    public = sorted([*OTHERS, *(_name(kind) for kind in PIPELINE_TASKS.values())])
    head = HEAD.replace("{names}", "\n".join(f"    {name}," for name in sorted(used)))
    head = head.replace("{public}", "\n".join(f'    "{name}",' for name in public))
    return _formatted(f"{head}\n{classes}\n")


def _words(text: str) -> Iterator[str]:
    return iter("".join(letter if letter.isalnum() or letter == "_" else " " for letter in text).split())


def _public_types() -> set[str]:
    from celery_inference import types

    return set(types.__all__)


def _formatted(text: str) -> str:
    command = [sys.executable, "-m", "ruff", "format", "--quiet", "--stdin-filename", str(STUB), "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True, cwd=STUB.parent).stdout


def _name(kind: PipelineTask) -> str:
    return kind.task.replace("-", "_")


def _input(kind: PipelineTask) -> str:
    return INPUTS.get(kind.task) or INPUTS[kind.media]


def _type(option: Option) -> str:
    if option.choices:
        return f"Literal[{', '.join(repr(choice) for choice in option.choices)}]"
    return TYPES[option.type]


def _parameters(kind: PipelineTask, return_errors: str = "", *, all_optional: bool = False) -> str:
    """`model` and the options, after the inputs; `return_errors` where it has a type."""
    parameters = ["model: str | None = None", "*"]
    parameters += [f"return_errors: {return_errors}"] * bool(return_errors)
    for name, option in kind.options.items():
        needed = option.required and not all_optional
        default = "" if needed else f" = {option.default!r}" if option.default is not None else " = ..."
        parameters.append(f"{name}: {_type(option)}{default}")
    return ", ".join(parameters[:1] if parameters[-1] == "*" else parameters)


def _class(kind: PipelineTask) -> Iterator[str]:
    name, given, answer = _name(kind), _input(kind), ANSWERS[kind.task]
    title = "_" + name.title().replace("_", "")
    needed = any(option.required for option in kind.options.values())
    sending = "**sending: Unpack[SendOptions]"
    for suffix, errors in (("Options", "Literal[False]"), ("Each", "Required[Literal[True]]")):
        yield f"class {title}{suffix}(TypedDict, total=False):"
        yield "    model: str | None"
        yield f"    return_errors: {errors}"
        for option_name, option in kind.options.items():
            yield f"    {option_name}: {f'Required[{_type(option)}]' if option.required else _type(option)}"
    # Inputs, what `return_errors` is beside them, options as a mapping, and the answer.
    many, rows = f"Sequence[{given}]", f"list[Row[{answer}]]"
    shapes = (
        ("Call", given, "", "Options", answer),
        ("Calls", many, _WITHOUT, "Options", f"list[{answer}]"),
        ("EachCalls", many, _WITH, "Each", rows),
    )
    for suffix, inputs, _, options, _ in shapes:
        yield f"class {title}{suffix}({title}{options}):"
        yield f"    inputs: Required[{inputs}]"
    yield f"class {title}(_Task):"
    yield from _docstring(name)
    either = _parameters(kind, _EITHER)
    yield f"    def __call__(self, inputs: {given} | Sequence[{given}], {either}) -> Any: ..."
    for _, inputs, errors, _, result in shapes:
        parameters = _parameters(kind, errors)
        yield f"    @overload\n    def delay(self, inputs: {inputs}, {parameters}) -> Result[{result}]: ..."
    # Celery's own way to say it: arguments as a sequence and as a mapping.
    for _, inputs, errors, options, result in shapes:
        args = f"tuple[{inputs}] | tuple[{inputs}, str | None] | list[{inputs}]"
        optional = "" if needed or errors == _WITH else " | None = None"
        kwargs = f"kwargs: {title}{options}{optional}"
        yield f"    @overload\n    def apply_async(self, args: {args}, {kwargs}, {sending}) -> Result[{result}]: ..."
    for suffix, _, _, _, result in shapes:
        for rest in ("args: tuple[()] | None = None, *, kwargs", "args: tuple[()] | None, kwargs"):
            yield "    @overload"
            yield f"    def apply_async(self, {rest}: {title}{suffix}, {sending}) -> Result[{result}]: ..."
    for _, inputs, errors, _, result in shapes:
        parameters = _parameters(kind, errors)
        yield f"    @overload\n    def s(self, inputs: {inputs}, {parameters}) -> Signature[{result}]: ..."
    partial = _parameters(kind, _EITHER, all_optional=True)
    partial = f"*, {partial.replace('*, ', '', 1)}"
    yield f"    @overload\n    def s(self, {partial}) -> Signature[Any]: ..."
    for _, inputs, errors, _, result in shapes:
        parameters = _parameters(kind, errors)
        yield f"    @overload\n    def si(self, inputs: {inputs}, {parameters}) -> Signature[{result}]: ..."
    yield f"    def delay_on_commit(self, inputs: {given} | Sequence[{given}], {either}) -> None: ..."
    yield f"{name}: {title}"


def _docstring(name: str) -> Iterator[str]:
    from celery_inference.client import inference_tasks

    words = inspect.cleandoc(getattr(inference_tasks, name).__doc__)
    lines = textwrap.wrap(words, 100)
    yield f'    """{lines[0]}' + ('"""' if len(lines) == 1 else "")
    yield from (f"    {line}" for line in lines[1:])
    if len(lines) > 1:
        yield '    """'


def main() -> None:
    """Write the file, or say whether it has drifted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    text = stub()
    if parser.parse_args().write:
        STUB.write_text(text, encoding="utf-8")
    elif STUB.read_text(encoding="utf-8") != text:
        sys.exit(f"{STUB.name} has drifted from the table of pipeline tasks: {__spec__.name} --write")


if __name__ == "__main__":
    main()
