"""The second stage as both adapters take it: its options, checked, and the reranker they make."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from runoff._util.arguments import count, is_blend
from runoff._util.faults import check_on_error
from runoff._util.messages import name_of
from runoff.deadline import Deadline
from runoff.errors import InvalidArgument
from runoff.fusion._as_fusion import as_fusion
from runoff.pipeline._stages import as_grouping
from runoff.protocols import Warmable
from runoff.rerank._as_reranker import LATE, as_reranker
from runoff.rerank._pointwise import Pointwise
from runoff.scores import Threshold

if TYPE_CHECKING:
    from collections.abc import Callable

    from runoff.grouping import Grouping
    from runoff.protocols import Reranker
    from runoff.types import Document

_logger = logging.getLogger("runoff")

Blend: TypeAlias = 'float | Literal["auto"] | None'
Group: TypeAlias = "Grouping | str | Callable[[Document], object] | None"
IdOf: TypeAlias = "Callable[[Document], str] | None"
OnBlank: TypeAlias = Literal["empty", "raise"]

_COUNTS = {"top_n", "k", "window", "depth"}
_CALLABLES = {"id_of": "from document to id", "observer": "that takes a response"}
_CHOICES: dict[str, tuple[object, object]] = {
    "provenance": (True, False),
    "on_blank": ("empty", "raise"),
}


def checked(name: str, value: Any) -> Any:  # noqa: ANN401, C901 - one option of any type
    """Check the value of an option that both adapters take, and return it.

    Raises:
        InvalidArgument: names the option and its value.
    """
    if name in _COUNTS:
        return count(name, value)
    if name == "timeout":
        Deadline(value)
        return None if value is None else float(value)
    if name == "on_error":
        check_on_error(value)
    elif name == "threshold":
        if value is not None and not isinstance(value, Threshold):
            remedy = "must be a runoff Threshold: a bare number does not say which scale it is on"
            raise InvalidArgument("threshold", value, remedy)
    elif name == "blend":
        if not is_blend(value):
            raise InvalidArgument("blend", value, 'must be within 0 and 1, "auto" or None')
    elif name in _CHOICES:
        if not isinstance(value, str | bool) or value not in _CHOICES[name]:
            raise InvalidArgument(name, value, f"must be {' or '.join(map(repr, _CHOICES[name]))}")
    elif name == "group":
        as_grouping(value)
    elif name == "fusion":
        return None if value is None else as_fusion(value)
    elif name in _CALLABLES and value is not None and not callable(value):
        raise InvalidArgument(name, value, f"must be a callable {_CALLABLES[name]}")
    return value


def second_stage(
    reranker: object, threshold: Threshold | None = None, blend: Blend = "auto"
) -> Reranker | None:
    """Make the reranker from the user's argument, threshold and blend.

    Args:
        reranker: anything that `as_reranker` takes.
        threshold: replaces the scorer's; None leaves that as it is.
        blend: replaces the scorer's, None turns it off; `"auto"` leaves it as it is.

    Raises:
        InvalidArgument: it is no reranker, or it is one that takes no threshold or no blend.
    """
    made = as_reranker(reranker)
    given: dict[str, Any] = {}
    if threshold is not None:
        given["threshold"] = threshold
    if blend != "auto":
        given["blend"] = blend
    if not given or made is None:
        return made
    if not isinstance(made, Pointwise):
        name, value = next(iter(given.items()))
        remedy = (
            f"applies only to scorers, and {type(made).__name__} orders the candidates itself: "
            "leave it out"
        )
        raise InvalidArgument(name, value, remedy)
    return replace(made, **given)


def is_skipped(text: object, on_blank: OnBlank) -> bool:
    """Whether a blank question gets an empty list as its answer; if so, a warning is logged.

    An agent's model sometimes calls its retriever with an empty string; an error would end the run.
    """
    if on_blank == "raise" or not isinstance(text, str) or text.strip():
        return False
    _logger.warning(
        'the query is blank: the answer is an empty list (on_blank="raise" makes it an error)'
    )
    return True


def model_name(part: object) -> str:
    """Return the model that a reranker or scorer names, else the name of its class."""
    if isinstance(part, str):
        return model_name(as_reranker(part)) if part in LATE else part
    for attribute in ("model_name", "model"):
        name = getattr(part, attribute, None)
        if isinstance(name, str | PurePath) and str(name):
            return str(name)
    inner = getattr(part, "scorer", None)
    return type(part).__name__ if inner is None else model_name(inner)


class Wrapped:
    """A reranker around `inner` that has its name and loads its model."""

    __slots__ = ()

    inner: Reranker

    @property
    def name(self) -> str:
        """The inner reranker's name, for traces and degradations."""
        return name_of(self.inner)

    @property
    def keeps_deadline(self) -> bool:
        """Whether the inner reranker returns by itself when its deadline comes."""
        return bool(getattr(self.inner, "keeps_deadline", False))

    def warmup(self) -> None:
        """Load the inner reranker's model, if it has one, and run it once."""
        if isinstance(self.inner, Warmable):
            self.inner.warmup()
