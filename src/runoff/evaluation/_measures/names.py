"""The names of measures, as ir-measures understands them."""

from __future__ import annotations

import ast
import math
import re
from typing import TYPE_CHECKING, Any

from runoff.errors import InvalidArgument, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Iterable

_CUTOFF = re.compile(r"@(\d+)$")


def cutoff_of(measure: str) -> float | None:
    """Return how many results a measure counts, infinite for all; None if it skips unjudged ones.

    Args:
        measure: a name that `Evaluator` accepts.
    """
    params = parsed_measure(library(), measure).params
    if params.get("judged_only") or measure in {"Bpref", "infAP"}:
        return None
    return float(params.get("cutoff", math.inf))


def library() -> Any:  # noqa: ANN401 - it publishes no types
    """Return the package ir_measures.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import ir_measures  # noqa: PLC0415 - an extra
    except ImportError:
        raise MissingExtra("ir-measures", "eval") from None
    return ir_measures


def parsed_measure(ir_measures: Any, measure: object) -> Any:  # noqa: ANN401 - it publishes no types
    """Return a measure that is given by its name or as itself.

    Raises:
        InvalidArgument: it is neither, or its cutoff is below 1.
    """
    if not isinstance(measure, str | ir_measures.Measure):
        raise InvalidArgument("measures", measure, "must be a name such as 'nDCG@10'")
    try:
        found = _named(ir_measures, measure) if isinstance(measure, str) else measure
        found.validate_params()
    except (AssertionError, ValueError, KeyError, SyntaxError, TypeError, AttributeError) as error:
        remedy = f"must be a measure of ir-measures, such as 'nDCG@10': {error}"
        raise InvalidArgument("measures", measure, remedy) from None
    # trec_eval crashes the process on a cutoff of 0
    if found.params.get("cutoff", 1) < 1:
        raise InvalidArgument("measures", measure, "must have a cutoff of 1 or more")
    return found


def _named(ir_measures: Any, text: str) -> Any:  # noqa: ANN401 - it publishes no types
    """Return the measure that a text such as `P(rel=2)@10` names.

    ir-measures' own parser reads values by `ast.Num`, which warns from Python 3.12 on and is absent
    from 3.14.
    """
    node = ast.parse(text.strip(), mode="eval").body
    values: dict[str, object] = {}
    cutoff = None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        cutoff, node = ast.literal_eval(node.right), node.left
    if isinstance(node, ast.Call) and not node.args:
        values = {str(one.arg): ast.literal_eval(one.value) for one in node.keywords}
        node = node.func
    known = ir_measures.measures.registry
    if not isinstance(node, ast.Name) or node.id not in known:
        msg = f"it has no measure {ast.unparse(node)}"
        raise ValueError(msg)
    kind = known[node.id]
    return kind(**values) if cutoff is None else kind(**values, **{kind.AT_PARAM: cutoff})


def counting_from(measure: Any, least: int) -> Any:  # noqa: ANN401 - it publishes no types
    """Return a measure that counts grades from `least` on, unless its name sets another limit."""
    if least > 1 and "rel" in measure.SUPPORTED_PARAMS and "rel" not in measure.params:
        return measure(rel=least)
    return measure


def cutoff_in(measure: Any) -> int | None:  # noqa: ANN401 - it publishes no types
    """Return the cutoff of a measure; None without one."""
    cutoff: int | None = measure.params.get("cutoff")
    return cutoff


def judged_name(measure: str) -> str:
    """Return the name of the share of judged results that belongs to a measure."""
    cutoff = _CUTOFF.search(measure)
    return f"Judged@{cutoff[1]}" if cutoff else "Judged"


def deepest(measures: Iterable[Any]) -> int | None:
    """Return the largest cutoff of measures; None if one has none."""
    cutoffs: list[int] = []
    for one in measures:
        # a measure of judged documents only skips the others, so no cutoff bounds it
        if "cutoff" not in one.params or one.params.get("judged_only"):
            return None
        cutoffs.append(one["cutoff"])
    return max(cutoffs)
