"""The queries as a table: sorted, filtered and cut into pages."""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from runoff.report._explorer.params import Params


_SORTS = ("gain", "loss", "length", "language", "unjudged", "latency", "text", "time")
_ONLY = ("", "helped", "harmed", "same", "degraded", "unjudged")
_TIE = 1e-9
_CONDITION = re.compile(
    r"(gain|loss|before|after|words|unjudged|latency)([<>]=?)(-?(?:\d+\.?\d*|\.\d+))(%?)", re.ASCII
)
_COMPARED: Final = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of equal length, one entry a query; NaN where a number is unknown.

    Attributes:
        ids: the queries.
        texts: their texts.
        languages: a language or a script; empty if unknown.
        slices: `name=value` of every slice it is in.
        length: words.
        before: the measure of the fused order.
        after: that of the answer.
        ideal: the best possible value.
        unjudged: the share of the first results that nobody judged.
        judged: whether the query has judgments.
        degraded: whether the answer lacks a source or a score.
        latency: milliseconds of the search.
        times: when it was asked, in seconds since 1970; None where that says nothing.
    """

    ids: Sequence[str]
    texts: Sequence[str]
    languages: Sequence[str]
    slices: Sequence[tuple[str, ...]]
    length: NDArray[np.float64]
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    ideal: NDArray[np.float64]
    unjudged: NDArray[np.float64]
    judged: NDArray[np.bool_]
    degraded: NDArray[np.bool_]
    latency: NDArray[np.float64]
    times: NDArray[np.float64] | None = None

    def answer(
        self, params: Params, stages: Callable[[Sequence[str]], Mapping[str, str]]
    ) -> dict[str, Any]:
        """Return one page of rows.

        Args:
            params: how to sort and filter, and which page: from `offset` on, or the one with the
                query that `around` names, if it is in the list; `place` is then its place there.
            stages: returns for queries the stage in which most was lost.

        Raises:
            InvalidArgument: a parameter has a value it cannot have.
        """
        sort = params.one_of("sort", _SORTS, "gain")
        down = params.one_of("order", ("asc", "desc"), "desc") == "desc"
        offset, limit = params.page
        chosen = np.flatnonzero(self._kept(params))
        order = chosen[_ordered(self._key(sort, chosen), down=down)]
        place = self._place(order, params.get("around"))
        if place is not None:
            offset = place - place % max(1, limit)
        page = order[offset : offset + limit].tolist()
        lost = stages([self.ids[at] for at in page if self.judged[at]])
        rows = [self._row(at, lost) for at in page]
        return {"total": len(order), "offset": offset, "place": place, "rows": rows}

    @cached_property
    def _at(self) -> dict[str, int]:
        return {one: at for at, one in enumerate(self.ids)}

    def _place(self, order: NDArray[np.int64], name: str | None) -> int | None:
        """Return where a query is in an order; None if it is not there."""
        at = None if name is None else self._at.get(name)
        if at is None:
            return None
        found: list[int] = np.flatnonzero(order == at).tolist()
        return found[0] if found else None

    @cached_property
    def _named(self) -> list[str]:
        """What `find` looks for words in: the text, the id and the slices of each query."""
        rows = zip(self.texts, self.ids, self.slices, strict=True)
        return ["\n".join((text, one, *slices)).casefold() for text, one, slices in rows]

    def _kept(self, params: Params) -> NDArray[np.bool_]:
        kept = np.ones(len(self.ids), np.bool_)
        if find := params.get("find"):
            words = []
            for word in find.casefold().split():
                if condition := _CONDITION.fullmatch(word):
                    kept &= self._fits(*condition.groups())
                else:
                    words.append(word)
            kept &= np.array(
                [all(one in named for one in words) for named in self._named], np.bool_
            )
        if name := params.get("slice"):
            kept &= np.array([name in one for one in self.slices], np.bool_)
        if code := params.get("language"):
            kept &= np.array([one == code for one in self.languages], np.bool_)
        only = params.one_of("only", _ONLY, "")
        gain = self.after - self.before
        with np.errstate(invalid="ignore"):  # unknown gains are in none of these
            if only == "helped":
                kept &= gain > _TIE
            elif only == "harmed":
                kept &= gain < -_TIE
            elif only == "same":
                kept &= np.abs(gain) <= _TIE
            elif only == "unjudged":
                kept &= ~self.judged | (self.unjudged > 0)
        return kept & self.degraded if only == "degraded" else kept

    def _fits(self, name: str, sign: str, value: str, percent: str) -> NDArray[np.bool_]:
        """Return which rows fit a condition, such as `loss>.5`; an unknown number fits none."""
        column = self._numbers["length" if name == "words" else name]
        fits: NDArray[np.bool_] = _COMPARED[sign](column, float(value) / (100 if percent else 1))
        return fits

    @cached_property
    def _numbers(self) -> dict[str, NDArray[np.float64]]:
        return {
            "gain": self.after - self.before,
            "before": self.before,
            "after": self.after,
            "loss": self.ideal - self.after,
            "length": self.length,
            "unjudged": self.unjudged,
            "latency": self.latency,
            "time": np.full(len(self.ids), np.nan) if self.times is None else self.times,
        }

    def _key(self, sort: str, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        if sort in {"text", "language"}:
            named = self.texts if sort == "text" else self.languages
            folded = [named[at].casefold() for at in chosen.tolist()]
            places = {one: at for at, one in enumerate(sorted(set(folded)))}
            return np.array([places[one] for one in folded], np.float64)
        return self._numbers[sort][chosen]

    def _row(self, at: int, lost: Mapping[str, str]) -> dict[str, Any]:
        before, after = known(self.before[at]), known(self.after[at])
        both = before is not None and after is not None
        return {
            "query_id": self.ids[at],
            "text": self.texts[at],
            "gain": known(self.after[at] - self.before[at]) if both else None,
            "before": before,
            "after": after,
            "loss": known(self.ideal[at] - self.after[at]),
            "loss_stage": lost.get(self.ids[at], "").replace("_", " ") or None,
            "length": int(self.length[at]),
            "language": self.languages[at] or None,
            "slices": list(self.slices[at]),
            "unjudged": known(self.unjudged[at]),
            "judged": bool(self.judged[at]),
            "outcome": "degraded" if self.degraded[at] else "complete",
            "latency_ms": known(self.latency[at]),
            "time": None if self.times is None else known(self.times[at]),
        }


def known(value: float) -> float | None:
    """Return a number, or None for NaN."""
    return float(value) if math.isfinite(value) else None


def _ordered(key: NDArray[np.float64], *, down: bool) -> NDArray[np.int64]:
    """Return places in order; equal ones stay as they are, and unknown ones come last."""
    order: NDArray[np.int64] = np.argsort(-key if down else key, kind="stable")
    return order
