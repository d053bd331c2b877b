"""How a finding shows itself where no page can be drawn."""

from __future__ import annotations

from typing import Protocol

__all__ = ["pretty"]


class Printer(Protocol):
    """IPython's printer, as far as it is needed."""

    def text(self, text: str) -> None:
        """Write text."""


def pretty(finding: object, printer: Printer, cycle: bool) -> None:  # noqa: FBT001 - IPython's
    """Write a finding's `str`; each class has it as its own `_repr_pretty_`, or `__repr__` wins.

    It is what IPython's prompt shows, and what a notebook keeps beside the HTML for whatever shows
    notebooks without it.
    """
    del cycle  # a finding does not hold itself
    printer.text(str(finding))
