"""Engines of LlamaIndex that show what they do: a `repr` of a line or two, and HTML."""

from __future__ import annotations

import types
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from llama_index.core.retrievers import VectorIndexRetriever
from llama_index.core.vector_stores.types import VectorStoreQueryMode

from runoff._util.adapters.options import brief_repr
from runoff._util.lazy import import_name
from runoff._util.messages import visible

if TYPE_CHECKING:
    from collections.abc import Callable

Settings: TypeAlias = dict[str, tuple[str, bool]]
"""Each option as a text, and whether it is the default and of little interest."""

_Engine = TypeVar("_Engine")
_TOLD = {"depth", "window", "reranker", "top_n"}  # even where they are the defaults
_MODES = {
    VectorStoreQueryMode.HYBRID: "hybrid",
    VectorStoreQueryMode.SEMANTIC_HYBRID: "hybrid",
    VectorStoreQueryMode.SPARSE: "sparse",
    VectorStoreQueryMode.TEXT_SEARCH: "sparse",
}  # what a store's own search is called in provenance
_FAMILIAR = {"VectorIndexRetriever": "dense", "BM25Retriever": "bm25", "BM25": "bm25"}


class Shown:
    """What the class of an engine gets beside its own: a view."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Show the sources, and what the engine does; objects by their class alone."""
        said = [
            f"{name}={text}" if at else text
            for at, (name, (text, usual)) in enumerate(settings(self).items())
            if not usual
        ]
        return visible(f"{type(self).__name__}({', '.join(said)})")

    def _repr_html_(self) -> str:
        html: Callable[..., str] = import_name("runoff.report._notebook", "settings_html")
        return html(type(self).__name__, settings(self))


def shown(engine: _Engine) -> _Engine:
    """Give an engine a view, and return it: an instance of a subclass with the name of its class.

    Copies and pickles have the view too. An engine is left as it is if its class has a view of its
    own, defines what happens to its subclasses, or cannot have any.
    """
    kind = type(engine)
    if kind.__repr__ is object.__repr__ and not hasattr(kind, "_repr_html_") and _is_open(kind):
        with suppress(TypeError):  # a layout of its own, or a metaclass that refuses
            object.__setattr__(engine, "__class__", _kind(kind))
    return engine


def _is_open(kind: type) -> bool:
    """Whether a subclass has no effects: LlamaIndex traces its methods, and ours has none."""
    owner: type = next(one for one in kind.__mro__ if "__init_subclass__" in vars(one))
    return owner is object or owner.__module__.startswith("llama_index")


def _kind(kind: type) -> type:
    """Return the class that adds a view to another one; one for each."""
    bases = (kind, Shown)
    known: list[type] = type.__subclasses__(kind)
    for one in known:
        if one.__bases__ == bases:
            return one
    names = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
        "__slots__": (),
        "__reduce_ex__": _reduced,
    }
    return types.new_class(kind.__name__, bases, exec_body=lambda space: space.update(names))


def _reduced(engine: Any, protocol: Any) -> Any:  # noqa: ANN401
    """Reduce an engine as its own class does, whose name the pickle has."""
    own: type[Any] = next(one for one in type(engine).__mro__ if Shown in one.__bases__)
    made = super(own, engine).__reduce_ex__(protocol)
    if not isinstance(made, tuple):
        return made
    function, given, *rest = made
    named = (own.__base__ if one is own else one for one in (function, *given))
    return _remade, tuple(named), *rest


def _remade(function: Callable[..., _Engine], *given: object) -> _Engine:
    """Make an engine as a pickle or a copy says; pickles name this function."""
    return shown(function(*given))


def settings(engine: Any) -> Settings:  # noqa: ANN401
    """Return what an engine asks and what it does with the nodes, first to last."""
    if not hasattr(engine, "_retriever"):  # a debugger may ask before an engine is made
        inner = getattr(engine, "_query_engine", None)
        return {} if inner is None else {"query engine": (repr(inner), False)}
    found = described(engine._retriever)  # noqa: SLF001
    parts = getattr(engine, "_node_postprocessors", None) or []
    at = next((at for at, one in enumerate(parts) if _is_ours(one)), len(parts))
    if before := parts[:at]:
        found["before" if at < len(parts) else "postprocessors"] = brief_repr(before), False
    for one in parts[at : at + 1]:
        found |= described(one)
    if after := parts[at + 1 :]:
        found["after"] = brief_repr(after), False
    return {name: (text, usual and name not in _TOLD) for name, (text, usual) in found.items()}


def described(part: Any) -> Settings:  # noqa: ANN401
    """Return the options of a retriever or a postprocessor; of another's, the class alone."""
    if _is_ours(part):
        return dict(part._settings())  # noqa: SLF001
    return {"retriever": (brief_repr({source_name(part): part}), False)}


def _is_ours(part: object) -> bool:
    """Whether a part says itself what it does; others may use the same name for something else."""
    return any(
        "_settings" in vars(kind) and kind.__module__.startswith("runoff.")
        for kind in type(part).__mro__
    )


def source_name(retriever: object) -> str:
    """Return what a retriever's source is called in provenance."""
    kind = type(retriever).__name__
    if isinstance(retriever, VectorIndexRetriever):
        mode = retriever._vector_store_query_mode  # noqa: SLF001
        return _MODES.get(mode, "dense")
    return _FAMILIAR.get(kind, kind)
