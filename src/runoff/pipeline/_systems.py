"""Turns anything that can be recorded or explained into a two-stage pipeline.

Adapters register converters for their framework's retrievers and engines, so that evaluation
depends on no framework.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from runoff._util.arguments import count
from runoff._util.lazy import import_adapter
from runoff.errors import InvalidArgument
from runoff.pipeline._boundary import joined as within
from runoff.pipeline._observers import joined
from runoff.pipeline._two_stage import TwoStage

if TYPE_CHECKING:
    from collections.abc import Callable

    from runoff.filters import Filter
    from runoff.pipeline._observers import Observer

_T = TypeVar("_T")


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

    def __post_init__(self) -> None:
        """Check the fields."""
        if not isinstance(self.pipeline, TwoStage):
            raise InvalidArgument("pipeline", self.pipeline, "must be a TwoStage")
        object.__setattr__(self, "top_k", count("top_k", self.top_k))
        within(self.filters)  # refuses anything but a filter


@dataclass(frozen=True, slots=True, eq=False)
class _Converter:
    matches: Callable[[object], bool]
    convert: Callable[[object], System]
    observed: Callable[[Any, Observer], Any] | None


_converters: dict[str, _Converter] = {}
_KINDS = {
    "a LangChain retriever",
    "a LlamaIndex retriever or an engine over one",
}  # what the adapters register, for the message


def register_system(
    name: str,
    matches: Callable[[object], bool],
    convert: Callable[[object], System],
    observed: Callable[[Any, Observer], Any] | None = None,
) -> None:
    """Register a converter for a kind of system that `as_system` does not know.

    Registering a name again replaces its converter.

    Args:
        name: the kind, as the error message lists it, such as `"a LangChain retriever"`.
        matches: returns whether an object is of that kind.
        convert: returns it as a `System`.
        observed: returns a copy that tells an observer its answers.
    """
    if not isinstance(name, str):
        raise InvalidArgument("name", name, "must be a string, such as 'a LangChain retriever'")
    for argument, given in (("matches", matches), ("convert", convert), ("observed", observed)):
        if not callable(given) and (given is not None or argument != "observed"):
            raise InvalidArgument(argument, given, "must be callable with the object")
    _converters[name] = _Converter(matches, convert, observed)


def as_system(given: object, argument: str = "system") -> System:
    """Return an object as a `System`.

    Args:
        given: the object.
        argument: what the caller's users call it, for the error.

    Raises:
        InvalidArgument: it cannot be recorded; the message lists what can.
    """
    if isinstance(given, TwoStage):
        return System(given)
    if isinstance(given, System):
        return given
    found = _converter_of(given)
    if found is not None:
        return found.convert(given)
    raise _refused(argument, given)


def observed_system(given: _T, observer: Observer) -> _T:
    """Return a copy that gives the same answers and passes each to an observer.

    Raises:
        InvalidArgument: it cannot be observed; the message lists what can.
    """
    if isinstance(given, TwoStage):
        return replace(given, observer=joined(given.observer, observer))
    found = _converter_of(given)
    if found is None or found.observed is None:
        raise _refused("target", given)
    made: _T = found.observed(given, observer)
    return made


def _converter_of(given: object) -> _Converter | None:
    if isinstance(given, type):
        return None
    import_adapter(type(given))
    return next((one for one in _converters.values() if one.matches(given)), None)


def _refused(argument: str, given: object) -> InvalidArgument:
    accepted = ", ".join(["a TwoStage", *sorted({*_converters, *_KINDS})])
    remedy = f"must be one of: {accepted}"
    if hasattr(given, "as_retriever"):
        remedy = f"{remedy}; pass its as_retriever()"
    elif hasattr(given, "retrieve"):
        remedy = f"{remedy}; wrap it: TwoStage({{'name': it}}, reranker=None)"
    return InvalidArgument(argument, given, remedy)
