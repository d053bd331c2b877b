"""Turns what a user gives as the second stage into a `Reranker`.

Adapters register converters for the rerankers of their framework. So this package imports no
framework, and every framework's rerankers work in any pipeline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runoff._util.lazy import import_adapter
from runoff.errors import InvalidArgument
from runoff.protocols import PairScorer, Reranker

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, eq=False)
class _Converter:
    matches: Callable[[object], bool]
    convert: Callable[[object], Reranker]


DEFAULT_RERANKER = "default"  # what it stands for is measured: see docs/defaults.md
LATE = frozenset({DEFAULT_RERANKER, "late"})  # the names that are no model's
_converters: dict[str, _Converter] = {}


def register_converter(
    name: str, matches: Callable[[object], bool], convert: Callable[[object], Reranker]
) -> None:
    """Make `as_reranker` accept another kind of reranker; a name registered again is replaced.

    Args:
        name: what the error message calls it, such as `"LangChain document compressor"`.
        matches: whether an object is of that kind.
        convert: makes a `Reranker` of it.
    """
    _converters[name] = _Converter(matches, convert)


def as_reranker(reranker: object) -> Reranker | None:
    """Return a `Reranker` for a reranker, a pair scorer, a model name or a foreign reranker.

    A bare scorer is wrapped in `Pointwise`, a model name stands for `CrossEncoder(name)`,
    `"default"` and `"late"` stand for `LateInteraction()`, and None stays None: no second stage.

    Raises:
        InvalidArgument: it is none of these; the message lists what is accepted.
    """
    if reranker is None:
        return None
    from runoff.rerank._pointwise import Pointwise  # noqa: PLC0415 - keeps `import runoff` quick

    if isinstance(reranker, str):
        if reranker in LATE:
            from runoff.rerank._local.late_interaction import LateInteraction  # noqa: PLC0415

            return Pointwise(LateInteraction())
        # onnxruntime takes time to import; a pipeline without a local model never needs it
        from runoff.rerank._local.cross_encoder import CrossEncoder  # noqa: PLC0415

        return Pointwise(CrossEncoder(reranker))
    if not isinstance(reranker, type):
        import_adapter(type(reranker))
        # converters come first: the `rerank` or `score` of a framework may mean something else
        for converter in _converters.values():
            if converter.matches(reranker):
                return converter.convert(reranker)
        if isinstance(reranker, Reranker):
            return reranker
        if isinstance(reranker, PairScorer):
            return Pointwise(reranker)
    accepted = ["a Reranker", "a PairScorer", "a model name", "None", *sorted(_converters)]
    raise InvalidArgument("reranker", reranker, f"must be one of: {', '.join(accepted)}")
