"""Checks of the fields of a `Dialect`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from runoff._util.arguments import is_whole
from runoff.errors import InvalidArgument
from runoff.scores import ScoreKind


def check_fields(dialect: object) -> None:
    """Refuse a field of a wrong kind.

    Raises:
        InvalidArgument: names the field.
    """
    for name, (fits, remedy) in _FIELDS.items():
        if not fits(getattr(dialect, name)):
            raise InvalidArgument(name, getattr(dialect, name), remedy)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _are_texts(value: object) -> bool:
    return isinstance(value, tuple) and all(map(_is_text, value))


def _is_about(value: object) -> bool:
    return value is None or (isinstance(value, tuple) and len(value) == 2 and callable(value[1]))  # noqa: PLR2004 - a pair


_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(
        ("name", "path", "query", "documents", "wrapped", "instruction", "top_n", "score"),
        (_is_text, "must be a string"),
    ),
    **dict.fromkeys(("length", "too_many"), (_is_text, "must be a string")),
    **dict.fromkeys(
        ("results", "tokens", "billed_units", "variables"),
        (_are_texts, "must be a tuple of strings"),
    ),
    "fixed": (lambda it: isinstance(it, Mapping), "must map names of fields to their values"),
    "raw": (
        lambda it: it is None or isinstance(it, Mapping),
        "must map names of fields to their values, or be None",
    ),
    "kind": (lambda it: isinstance(it, ScoreKind), "must be a ScoreKind"),
    "model_needed": (lambda it: isinstance(it, bool), "must be True or False"),
    "batch": (is_whole, "must be a whole number, 1 or more"),
    "reads": (lambda it: it is None or is_whole(it), "must be a whole number, 1 or more, or None"),
    "about": (_is_about, "must be a path and a function, or None"),
}
