"""What the second stage is made of and the checks that every adapter class shares."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from runoff._util.arguments import count
from runoff._util.faults import check_on_error
from runoff.deadline import Deadline
from runoff.errors import InvalidArgument
from runoff.rerank._as_reranker import as_reranker
from runoff.rerank._pointwise import Pointwise

if TYPE_CHECKING:
    from runoff.protocols import Reranker
    from runoff.scores import Threshold

__all__ = ["Blend", "checked", "second_stage"]

Blend: TypeAlias = 'float | Literal["auto"] | None'

_COUNTS = {"top_n", "window", "depth"}


def checked(name: str, value: Any) -> Any:  # noqa: ANN401 - one option of any type
    """Return the value of an option, or say what would be right.

    Raises:
        InvalidArgument: names the option and its value.
    """
    if name in _COUNTS:
        return count(name, value)
    if name == "timeout":
        Deadline(value)
    elif name == "on_error":
        check_on_error(value)
    return value


def second_stage(
    reranker: object, threshold: Threshold | None = None, blend: Blend = "auto"
) -> Reranker | None:
    """Return the reranker for what a user gave, with their threshold and blend.

    Raises:
        InvalidArgument: it is no reranker, or it is one that takes no threshold or no blend.
    """
    made = as_reranker(reranker)
    given: dict[str, Any] = {}
    if threshold is not None:
        given["threshold"] = threshold
    if blend != "auto":
        given["blend"] = blend
    if not given:
        return made
    if not isinstance(made, Pointwise):
        name, value = next(iter(given.items()))
        remedy = f"applies to scorers; {type(made).__name__} brings its own order"
        raise InvalidArgument(name, value, remedy)
    return replace(made, **given)
