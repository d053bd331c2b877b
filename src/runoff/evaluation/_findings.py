"""What `health` returns: findings, each with the figure it rests on, as text and JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from runoff.evaluation._shown import pretty

__all__ = ["Finding", "Health", "percent"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: its name, such as `"truncation"`.
        figure: what it rests on; None where there is nothing to look at.
        odd: whether it is worth acting on; None where there is nothing to look at.
        sentence: what was found.
        advice: what to try; empty unless it is odd.
    """

    check: str
    figure: float | None
    odd: bool | None
    sentence: str
    advice: str = ""

    def __str__(self) -> str:
        """Return it in a line."""
        mark = {True: "look", False: "fine", None: "none"}[self.odd]
        advice = f" Try: {self.advice}" if self.advice else ""
        return f"{mark}  {self.check:<12} {self.sentence}{advice}"


@dataclass(frozen=True, slots=True, repr=False)
class Health:
    """What is odd about a second stage.

    Attributes:
        queries: how many answers were looked at.
        findings: everything that was looked at, the odd ones first.
    """

    queries: int
    findings: tuple[Finding, ...]

    @property
    def odd(self) -> tuple[Finding, ...]:
        """The findings that are worth acting on."""
        return tuple(one for one in self.findings if one.odd)

    def __getitem__(self, check: str) -> Finding:
        """Return the finding of a check.

        Raises:
            KeyError: there is no such check.
        """
        for one in self.findings:
            if one.check == check:
                return one
        raise KeyError(check)

    def __repr__(self) -> str:
        """Show what is odd; `str` has the sentences."""
        names = ", ".join(one.check for one in self.odd) or "nothing odd"
        return f"Health({self.queries} queries: {names})"

    def __str__(self) -> str:
        """Return every finding in a line."""
        return "\n".join([f"{self.queries} queries", *map(str, self.findings)])

    _repr_pretty_ = pretty

    def _repr_html_(self) -> str:
        from runoff.report._sections import health_html  # noqa: PLC0415 - a report, when asked for

        return health_html(self)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        return {"queries": self.queries, "findings": [asdict(one) for one in self.findings]}


def percent(share: float) -> str:
    """Return a share in words."""
    return f"{share:.1%}"
