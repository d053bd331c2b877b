"""The second stage as tagged JSON: what `to_dict` writes and `from_dict` reads.

A reranker of runoff's is written as `{"type": "CrossEncoder", ...}` with its fields. Keys are never
written: a reranker reads its key from the environment again. Of other objects only the class is
written, so that `to_dict` never fails; they have to be passed to `from_dict`.
"""

from __future__ import annotations

import enum
import importlib
from dataclasses import fields, is_dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from llama_index.core.postprocessor.types import BaseNodePostprocessor

from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOMES = ("runoff.rerank", "runoff.scores", "runoff.grouping")
_POSTPROCESSOR = "llama_index"
_OPAQUE = "object"
_SECRET = ("key", "token", "secret", "password", "authorization", "headers")  # how names end


def to_config(value: object) -> Any:  # noqa: ANN401
    """Return a value as JSON: plain values as they are, the rest tagged with its type."""
    if value is None or isinstance(value, bool | int | float | str):
        return value.value if isinstance(value, enum.Enum) else value
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, list | tuple):
        return [to_config(one) for one in value]
    if isinstance(value, dict):
        return {str(name): to_config(one) for name, one in value.items()}
    if _class_of(type(value).__name__) is type(value):
        shown = {
            one.name: to_config(getattr(value, one.name))
            for one in fields(value)  # type: ignore[arg-type] # `_class_of` returns dataclasses
            if one.init and not _secret(one.name)
        }
        return {"type": type(value).__name__, **shown}
    if isinstance(value, BaseNodePostprocessor):
        shown = {name: one for name, one in value.to_dict().items() if not _secret(name)}
        return {"type": _POSTPROCESSOR, **shown}
    return {"type": _OPAQUE, "class": f"{type(value).__module__}.{type(value).__qualname__}"}


def from_config(argument: str, value: object) -> Any:  # noqa: ANN401
    """Return the object that `to_config` wrote; any other value is returned unchanged.

    Raises:
        InvalidArgument: the configuration names an object that only the caller can supply.
    """
    if isinstance(value, list):
        return tuple(from_config(argument, one) for one in value)
    if not isinstance(value, dict):
        return value
    kind = value.get("type")
    data = {name: one for name, one in value.items() if name != "type"}
    if kind == _POSTPROCESSOR:
        wanted = data.get("class_name")
        for found in _descendants(BaseNodePostprocessor):  # type: ignore[type-abstract] # only its descendants are made
            if found.class_name() == wanted:
                return found.from_dict(data)
        remedy = f"import the package of {wanted} first, or pass the object as {argument}="
        raise InvalidArgument(argument, value, remedy)
    if kind is None:
        return {name: from_config(argument, one) for name, one in data.items()}
    made = _class_of(kind) if isinstance(kind, str) else None
    if made is None:
        remedy = f"cannot be made from configuration; pass the object as {argument}="
        raise InvalidArgument(argument, data.get("class", kind), remedy)
    return made(**{name: from_config(argument, one) for name, one in data.items()})


def to_state(value: object) -> Any:  # noqa: ANN401
    """Return what is pickled: the configuration, or the object if it cannot be made from that."""
    config = to_config(value)
    return value if _has_opaque(config) else config


def _has_opaque(config: object) -> bool:
    if isinstance(config, dict):
        return config.get("type") == _OPAQUE or any(map(_has_opaque, config.values()))
    return isinstance(config, list) and any(map(_has_opaque, config))


def _class_of(name: str) -> Any:  # noqa: ANN401
    for home in _HOMES:
        module = importlib.import_module(home)
        if name in getattr(module, "__all__", ()):
            found = getattr(module, name)
            if isinstance(found, type) and is_dataclass(found):
                return found
    return None


def _secret(name: str) -> bool:
    return name.lower().endswith(_SECRET)


def _descendants(kind: type[BaseNodePostprocessor]) -> Iterator[type[BaseNodePostprocessor]]:
    for found in kind.__subclasses__():
        yield found
        yield from _descendants(found)
