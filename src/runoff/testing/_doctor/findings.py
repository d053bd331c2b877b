"""How a check says what it found."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from runoff._util.messages import error_text
from runoff.evaluation._health.observations import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_P = TypeVar("_P")


def odd(check: str, figure: float, sentence: str, advice: str) -> Finding:
    """Return a finding to act on."""
    return Finding(check, float(figure), odd=True, sentence=sentence, advice=advice)


def fine(check: str, figure: float, sentence: str) -> Finding:
    """Return a finding that is as it should be."""
    return Finding(check, float(figure), odd=False, sentence=sentence)


def nothing(check: str, why: str) -> Finding:
    """Return that there was nothing to check."""
    return Finding(check, None, None, why)


def failed(error: Exception) -> Finding:
    """Return that a check, or what comes before all of them, raised an error."""
    return odd(
        "error", 1, f"It raised {error_text(error)}.",
        "what the error says; the other checks need answers",
    )  # fmt: skip


def made(checks: Iterable[Callable[[_P], Finding]], probe: _P) -> list[Finding]:
    """Return what every check finds; an error ends its check alone."""
    found = []
    for check in checks:
        try:
            found.append(check(probe))
        except Exception as error:  # noqa: BLE001 - what it raises is the finding
            found.append(failed(error))
    return found


def prefixed(name: str, findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings of one part of a pipeline, with its name before the check's."""
    return [
        Finding(f"{name}: {one.check}", one.figure, one.odd, one.sentence, one.advice)
        for one in findings
    ]


def sorted_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings, the odd ones first and those without a result last."""
    order = {True: 0, False: 1, None: 2}
    return tuple(sorted(findings, key=lambda one: order[one.odd]))
