"""How results show themselves: their text at a prompt, HTML in a notebook, charts on request.

HTML and charts are made by `runoff.report`, which reads this package and is imported on request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from runoff._util.lazy import import_name
from runoff._util.messages import config_repr

if TYPE_CHECKING:
    from collections.abc import Callable


class Printer(Protocol):
    """The part of IPython's printer that is used."""

    def text(self, text: str) -> None:
        """Write text."""


def pretty(result: object, printer: Printer, cycle: bool) -> None:  # noqa: FBT001 - IPython's
    """Write a result's `str`, which IPython's prompt shows.

    A notebook keeps this text beside the HTML, for viewers that show no HTML. Each class needs it
    as its own `_repr_pretty_`: IPython prefers a class's own `__repr__` to an inherited one.
    """
    del cycle  # a result does not contain itself
    printer.text(str(result))


def html_by(name: str, module: str = "_sections") -> Callable[[object], str]:
    """Return a `_repr_html_` that calls this function of a module of `runoff.report`."""

    def _repr_html_(self: object) -> str:
        page: str = import_name(f"runoff.report.{module}", name)(self)
        return page

    return _repr_html_


class Configured:
    """A frozen dataclass, made with `repr=False`, that shows its configuration."""

    __slots__ = ()

    __repr__ = config_repr

    _repr_html_ = html_by("configured_html", "_notebook")
