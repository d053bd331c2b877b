"""Turns anything that can be recorded or explained into a two-stage pipeline.

Adapters register converters for their framework's retrievers and engines, so that evaluation
depends on no framework.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runoff.errors import InvalidArgument
from runoff.pipeline._two_stage import TwoStage

if TYPE_CHECKING:
    from collections.abc import Callable

    from runoff.filters import Filter

__all__ = ["System", "as_system", "register_system"]


@dataclass(frozen=True, slots=True)
class System:
    """A system that can be recorded, as a pipeline.

    Attributes:
        pipeline: the pipeline.
        top_k: how many results it returns.
        filters: which documents it may return, in every query.
    """

    pipeline: TwoStage
    top_k: int = 10
    filters: Filter | None = None


@dataclass(frozen=True, slots=True)
class _Converter:
    matches: Callable[[object], bool]
    convert: Callable[[object], System]


_converters: dict[str, _Converter] = {}
# the adapter of an object's framework may not have been imported yet
_ADAPTERS = {
    "langchain_core": "runoff.langchain",
    "llama_index": "runoff.llama_index",
}
_KINDS = {
    "a LangChain retriever",
    "a LlamaIndex retriever or an engine over one",
}  # what the adapters register, for the message


def register_system(
    name: str, matches: Callable[[object], bool], convert: Callable[[object], System]
) -> None:
    """Register a converter for a kind of system that `as_system` does not know.

    Registering a name again replaces its converter.

    Args:
        name: the kind, as the error message lists it, such as `"a LangChain retriever"`.
        matches: returns whether an object is of that kind.
        convert: returns it as a `System`.
    """
    _converters[name] = _Converter(matches, convert)


def as_system(given: object) -> System:
    """Return an object as a `System`.

    Raises:
        InvalidArgument: it cannot be recorded; the message lists what can.
    """
    if isinstance(given, TwoStage):
        return System(given)
    if isinstance(given, System):
        return given
    if not isinstance(given, type):
        packages = {base.__module__.partition(".")[0] for base in type(given).__mro__}
        for package in _ADAPTERS.keys() & packages:
            importlib.import_module(_ADAPTERS[package])
        for converter in _converters.values():
            if converter.matches(given):
                return converter.convert(given)
    accepted = ", ".join(["a TwoStage", *sorted({*_converters, *_KINDS})])
    remedy = f"must be one of: {accepted}"
    if hasattr(given, "as_retriever"):
        remedy = f"{remedy}; pass its as_retriever()"
    elif hasattr(given, "retrieve"):
        remedy = f"{remedy}; wrap it: TwoStage({{'name': it}}, reranker=None)"
    raise InvalidArgument("system", given, remedy)
