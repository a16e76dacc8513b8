"""Inputs of several parts: an object whose parts the kind names, each checked by what it is. No torch.

| part       | what it is                                                              |
|------------|-------------------------------------------------------------------------|
| text       | a text that is not empty                                                |
| image      | an image's bytes, their base64, or a claim                              |
| word_boxes | `[["word", [left, top, right, bottom]], …]`, numbers from 0 to 1000     |
| table      | `{"column": ["cell", …], …}`, columns of one length                     |
| json       | any JSON value of texts and numbers                                     |

Nothing else reaches a pipeline, so that no part can hold an address or a path where a pipeline would open one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from celery_inference.inputs import claims
from celery_inference.specs.errors import InvalidInput, shown, suggestion
from celery_inference.specs.model_spec import ModelSpec

_MAX_CELLS = 10_000
_MAX_WORDS = 5_000
_MAX_DEPTH = 8
_MAX_ITEMS = 10_000
_LARGEST = 1e18
_BOX_EDGE = 1000  # documents' boxes are given in thousandths of the page

TextCheck = Callable[[ModelSpec, str, object], str]


def check(spec: ModelSpec, field: str, value: object, text: TextCheck) -> dict[str, Any]:
    """The input's parts as JSON values, in the pipeline task's order. `text` checks a text. Raises InvalidInput."""
    known = {name.rstrip("?"): (what, name.endswith("?")) for name, what in spec.pipeline_task.fields.items()}
    wanted = ", ".join(f'"{name}": …' for name, (_, optional) in known.items() if not optional)
    if not isinstance(value, dict):
        raise InvalidInput.because(field, f"must be {{{wanted}}}, not {type(value).__name__}")
    for name in value:
        if name not in known:
            problem = f'has an unknown part "{shown(name)}". {suggestion(shown(name), known)}'
            raise InvalidInput.because(field, problem, allowed=known)
    parts: dict[str, Any] = {}
    for name, (what, optional) in known.items():
        if name in value:
            parts[name] = _part(spec, what, f"{field} {name}", value[name], text)
        elif not optional:
            raise InvalidInput.because(field, f'must be {{{wanted}}}; "{name}" is missing')
    return parts


def _part(spec: ModelSpec, what: str, field: str, value: object, text: TextCheck) -> Any:
    if what == "image":
        return claims.medium("image", field, value, spec.max_bytes)
    if what == "text":
        return text(spec, field, value)
    checked = {"word_boxes": _word_boxes, "table": _table, "json": _json}[what](field, value)
    try:
        size = len(json.dumps(checked, ensure_ascii=False).encode())
    except UnicodeEncodeError:
        raise InvalidInput.because(field, "has half a surrogate pair, which is no text") from None
    if size > spec.max_characters:
        raise InvalidInput.too_large(field, size, spec.max_characters, "bytes as JSON")
    return checked


def _word_boxes(field: str, value: object) -> list[list[Any]]:
    if not isinstance(value, (list, tuple)) or not value:
        raise InvalidInput.because(field, 'must be a list of ["word", [left, top, right, bottom]]')
    if len(value) > _MAX_WORDS:
        raise InvalidInput.too_large(field, len(value), _MAX_WORDS, "words")
    return [_word_box(f"{field}[{i}]", item) for i, item in enumerate(value)]


def _word_box(field: str, item: object) -> list[Any]:
    if not isinstance(item, (list, tuple)) or len(item) != 2 or not isinstance(item[0], str) or not item[0].strip():
        raise InvalidInput.because(field, 'must be ["word", [left, top, right, bottom]]')
    word, box = item
    if not isinstance(box, (list, tuple)) or len(box) != 4 or not all(_is_place(edge) for edge in box):
        raise InvalidInput.because(field, f"must have a box of four integers from 0 to {_BOX_EDGE}")
    left, top, right, bottom = box
    if left > right or top > bottom:
        raise InvalidInput.because(
            field, "has a box whose left is right of its right, or whose top is below its bottom"
        )
    return [word, list(box)]


def _is_place(edge: object) -> bool:
    return isinstance(edge, int) and not isinstance(edge, bool) and 0 <= edge <= _BOX_EDGE


def _table(field: str, value: object) -> dict[str, list[str]]:
    if not isinstance(value, dict) or not value or not all(isinstance(name, str) for name in value):
        raise InvalidInput.because(field, 'must be {"column": ["cell", …], …}')
    if not all(isinstance(cells, (list, tuple)) and cells for cells in value.values()):
        raise InvalidInput.because(field, "must have a list of cells in each column, none of them empty")
    table = {name: list(cells) for name, cells in value.items()}
    lengths = {len(cells) for cells in table.values()}
    if len(lengths) > 1:
        raise InvalidInput.because(field, "has columns of different lengths")
    if (size := len(table) * lengths.pop()) > _MAX_CELLS:
        raise InvalidInput.too_large(field, size, _MAX_CELLS, "cells")
    if not all(isinstance(cell, str) for cells in table.values() for cell in cells):
        raise InvalidInput.because(field, "must have texts in its cells, numbers too")
    return table


def _json(field: str, value: object) -> Any:
    return _json_part(field, value, iter(range(_MAX_ITEMS)), _MAX_DEPTH)


def _json_part(field: str, value: object, items_left: Iterator[int], depth_left: int) -> Any:
    """A copy. Items are counted while it is made: a list that holds another many times is small and its copy is not."""
    if depth_left < 0:
        raise InvalidInput.because(field, f"is nested deeper than {_MAX_DEPTH}")
    if next(items_left, None) is None:
        raise InvalidInput.because(field, f"has more than {_MAX_ITEMS:,} items", limit=_MAX_ITEMS)
    if isinstance(value, dict):
        if not all(isinstance(name, str) for name in value):
            raise InvalidInput.because(field, "must have texts as names")
        return {name: _json_part(field, item, items_left, depth_left - 1) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_part(field, item, items_left, depth_left - 1) for item in value]
    if isinstance(value, (int, float)) and not abs(value) <= _LARGEST:
        raise InvalidInput.because(field, f"must have numbers of at most {_LARGEST:g}, not {shown(value)}")
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise InvalidInput.because(field, f"must be JSON, without {type(value).__name__}")
