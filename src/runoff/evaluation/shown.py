"""How a finding shows itself where no page can be drawn."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Shown"]


class Printer(Protocol):
    """IPython's printer, as far as it is needed."""

    def text(self, text: str) -> None:
        """Write text."""


class Shown:
    """A finding that says its `str` as the last line of a cell or at IPython's prompt.

    A notebook keeps that text beside the HTML, for whatever shows notebooks without it.
    """

    __slots__ = ()

    def _repr_pretty_(self, printer: Printer, cycle: bool) -> None:  # noqa: FBT001 - IPython's
        del cycle  # a finding does not hold itself
        printer.text(str(self))
