"""Imports of modules by the paths that they had in earlier versions, also by old pickles.

`import runoff` installs a finder, so that a module's old path still imports, with a
DeprecationWarning, and old pickles open. It is asked only after every other finder has failed.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


def _home(name: str) -> tuple[str, str]:
    """Return the present path of an earlier module, if any, and the public module for its names."""
    from runoff._util.renamed import face, home  # noqa: PLC0415 - only an old path needs it

    return home(name), face(name)


class _Moved:
    """Finds the old path of a module, and loads a stand-in that looks names up in the new one."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        if not name.startswith("runoff.") or not _home(name)[0]:
            return None
        from importlib.machinery import ModuleSpec  # noqa: PLC0415 - only an old path needs it

        return ModuleSpec(name, _Moved, is_package=name == "runoff.onnx")  # type: ignore[arg-type] # a loader by its methods

    @staticmethod
    def create_module(spec: ModuleSpec) -> None:
        """Leave making the module to Python."""

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        """Let the old module answer with the names of the present one."""
        import warnings  # noqa: PLC0415 - only an old path needs it
        from importlib import import_module  # noqa: PLC0415 - as above

        old = module.__name__
        new, face = _home(old)
        present = import_module(new)
        warnings.warn(
            f"{old} is no longer public and will be removed in runoff 0.3: "
            f"import its public names from {face}",
            DeprecationWarning,
            stacklevel=2,
        )

        def look_up(name: str) -> Any:  # noqa: ANN401 - any attribute of the module
            for place in (present, import_module(face)):
                if hasattr(place, name):
                    return getattr(place, name)
            message = f"module {old!r} has moved to {face} and has no attribute {name!r} any more"
            raise AttributeError(message)

        vars(module)["__getattr__"] = look_up  # PEP 562


def install() -> None:
    """Make the old paths importable; a second call changes nothing."""
    if _Moved not in sys.meta_path:
        sys.meta_path.append(_Moved)
