"""Imports made when a name is first used, so that importing a package stays quick (PEP 562)."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_ADAPTERS = {"langchain_core": "runoff.langchain", "llama_index": "runoff.llama_index"}
_IMPORTED = {"TYPE_CHECKING", "annotations", "lazily"}  # by the packages that use this module


def lazily(
    package: str, homes: Mapping[str, str], modules: Sequence[str] = ()
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the `__getattr__` and the `__dir__` of a package.

    Args:
        package: its `__name__`.
        homes: for each public name, the module that defines it, relative to the package: one more
            dot in front leads to the package around it.
        modules: modules below the package that are attributes of it before anything imports them.
    """

    def load(name: str) -> object:
        if name in modules:
            return import_module(f"{package}.{name}")
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f".{homes[name]}", package), name)

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes, *modules} - _IMPORTED)

    return load, names


def import_name(module: str, name: str) -> Any:  # noqa: ANN401 - the caller knows what the name is
    """Import a module and return one of its names.

    For a type that can show or dump itself: what does so imports the types, so the types may not
    import it.
    """
    return getattr(import_module(module), name)


def import_adapter(kind: type) -> None:
    """Import the adapter of a class's framework, which may not have been imported yet."""
    for package in _ADAPTERS.keys() & {base.__module__.partition(".")[0] for base in kind.__mro__}:
        import_module(_ADAPTERS[package])
