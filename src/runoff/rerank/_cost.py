"""Prices, caps on what one search may use, and the scorer that applies both."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from runoff._util.arguments import is_one_of, is_real
from runoff._util.messages import number_of
from runoff._waiting.drive import run, run_async
from runoff.errors import CapExceeded, InvalidArgument
from runoff.rerank._amounts import pair_tokens
from runoff.rerank._wrapping import Wrapping, check_scorer, scored
from runoff.scores import PairScores, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff._waiting.drive import Asking
    from runoff.deadline import Deadline
    from runoff.protocols import PairScorer

_TOLERANCE = 0.25  # tokens are predicted roughly; a smaller error is not worth a sentence
_LIMITS = {
    "pairs": "pairs",
    "tokens": "tokens",
    "billed_units": "search units",
    "cost": "of cost",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a scorer costs, by its vendor's price list; several prices add up.

    Attributes:
        per_search_unit: for each unit the vendor bills (`Usage.billed_units`).
        per_1k_pairs: for a thousand pairs.
        per_million_tokens: for a million tokens.
        currency: for messages; prices in one pipeline should share it, as their costs are summed.

    Raises:
        InvalidArgument: a price is not a number of 0 or more, or none is given.
    """

    per_search_unit: float | None = None
    per_1k_pairs: float | None = None
    per_million_tokens: float | None = None
    currency: str = "USD"

    def __post_init__(self) -> None:
        parts = {
            "per_search_unit": self.per_search_unit,
            "per_1k_pairs": self.per_1k_pairs,
            "per_million_tokens": self.per_million_tokens,
        }
        for name, part in parts.items():
            if part is not None and not _at_least_zero(part):
                raise InvalidArgument(name, part, "must be a number of 0 or more, or None")
        if all(part is None for part in parts.values()):
            raise InvalidArgument("price", self, f"needs one of {', '.join(parts)}")
        if not isinstance(self.currency, str) or not self.currency:
            raise InvalidArgument("currency", self.currency, 'must be a name such as "USD"')

    def of(self, usage: Usage) -> float | None:
        """Return the cost of a usage; None where the usage lacks a quantity that has a price."""
        parts = (
            (self.per_search_unit, usage.billed_units, 1),
            (self.per_1k_pairs, usage.pairs, 1_000),
            (self.per_million_tokens, usage.tokens, 1_000_000),
        )
        total = 0.0
        for price, amount, batch in parts:
            if price is not None:
                if amount is None:
                    return None
                total += price * amount / batch
        return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """The most that one search may use, predicted before anything is sent.

    Pairs from a cache use nothing and do not count.

    Attributes:
        pairs: the most pairs.
        tokens: the most tokens, by the scorer's estimate.
        billed_units: the most units a vendor will bill.
        cost: the most money, in the currency of the price, which must be given.
        on_exceed: `"degrade"` sends the candidates that fit, best fused first, and leaves the rest
            unscored, reason `cap`; `"raise"` sends nothing and raises `CapExceeded`.

    Raises:
        InvalidArgument: a limit is not a number above 0, none is given, or `on_exceed` is wrong.
    """

    pairs: int | None = None
    tokens: int | None = None
    billed_units: float | None = None
    cost: float | None = None
    on_exceed: Literal["degrade", "raise"] = "degrade"

    def __post_init__(self) -> None:
        limits = {name: getattr(self, name) for name in _LIMITS}
        for name, limit in limits.items():
            if limit is not None and (not _at_least_zero(limit) or limit == 0):
                raise InvalidArgument(name, limit, "must be a number above 0, or None")
        if all(limit is None for limit in limits.values()):
            raise InvalidArgument("cap", self, f"needs one of {', '.join(limits)}")
        if not is_one_of(self.on_exceed, ("degrade", "raise")):
            raise InvalidArgument("on_exceed", self.on_exceed, 'must be "degrade" or "raise"')

    def exceeded(self, usage: Usage) -> str:
        """Return the first limit that a usage exceeds, as a phrase; empty when there is none.

        Raises:
            InvalidArgument: the usage lacks a quantity that has a limit.
        """
        for name, unit in _LIMITS.items():
            limit, amount = getattr(self, name), getattr(usage, name)
            if limit is None:
                continue
            if amount is None:
                remedy = "the scorer cannot predict it: cap pairs instead"
                raise InvalidArgument(f"cap.{name}", limit, remedy)
            if amount > limit:
                return f"{amount:g} {unit}, but the cap is {limit:g}"
        return ""


class _Plan(NamedTuple):
    """How many pairs are sent, their predicted usage, and why the others are not sent."""

    sent: int
    predicted: Usage
    why: str


@dataclass(frozen=True, slots=True, repr=False)
class Metered(Wrapping):
    """A scorer that predicts the usage of a call, stays within a cap and reports the cost.

    The prediction is the scorer's `estimate(pairs)`, or the pairs and a quarter of their bytes as
    tokens. The cost is computed from the actual usage; a note says where that differs from the
    prediction. A call that fails counts as free, even if the vendor bills it.

    Attributes:
        scorer: what scores the pairs.
        price: what it costs; None keeps the `Usage.cost` of the scorer.
        cap: the most one call may use; None sets no limit.

    Raises:
        InvalidArgument: an argument has an invalid value.
    """

    scorer: PairScorer
    _: KW_ONLY
    price: Price | None = None
    cap: Cap | None = None

    def __post_init__(self) -> None:
        check_scorer(self.scorer)
        if self.price is not None and not isinstance(self.price, Price):
            raise InvalidArgument("price", self.price, "must be a Price, such as Price(...)")
        if self.cap is not None and not isinstance(self.cap, Cap):
            raise InvalidArgument("cap", self.cap, "must be a Cap, such as Cap(pairs=50)")
        if self.cap is not None and self.cap.cost is not None and self.price is None:
            raise InvalidArgument("cap", self.cap, "a cap on cost needs a price")

    def estimate(self, pairs: Sequence[tuple[str, str]]) -> Usage:
        """Return what scoring n pairs should use; nothing is sent."""
        estimate = getattr(self.scorer, "estimate", None)
        if estimate is None:
            usage = Usage(pairs=len(pairs), tokens=sum(map(pair_tokens, pairs)))
        else:
            usage = estimate(pairs)
        return usage if self.price is None else replace(usage, cost=self.price.of(usage))

    def score(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline | None = None
    ) -> PairScores:
        """Score as many of n pairs as the cap allows, from the first.

        Raises:
            CapExceeded: they do not all fit, and the cap is to raise.
            RunoffError: any error of the scorer.
        """
        return run(self._asking(pairs, deadline))

    async def ascore(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline | None = None
    ) -> PairScores:
        """Do what `score` does without blocking the event loop."""
        return await run_async(self._asking(pairs, deadline))

    def _asking(
        self, pairs: Sequence[tuple[str, str]], deadline: Deadline | None
    ) -> Asking[PairScores]:
        plan = self._plan(pairs)
        scores = yield from scored(self.scorer, pairs[: plan.sent], deadline)
        return self._settled(plan, scores, len(pairs))

    def _plan(self, pairs: Sequence[tuple[str, str]]) -> _Plan:
        predicted = self.estimate(pairs)
        why = "" if self.cap is None else self.cap.exceeded(predicted)
        if self.cap is None or not why:
            return _Plan(len(pairs), predicted, "")
        if self.cap.on_exceed == "raise":
            raise CapExceeded(f"{self.name}: {number_of(len(pairs), 'pair')} would use {why}")
        fits, too_many = 0, len(pairs)
        while too_many - fits > 1:
            middle = (fits + too_many) // 2
            if self.cap.exceeded(self.estimate(pairs[:middle])):
                too_many = middle
            else:
                fits = middle
        return _Plan(fits, self.estimate(pairs[:fits]), why)

    def _settled(self, plan: _Plan, scores: PairScores, total: int) -> PairScores:
        usage, notes = scores.usage, list(scores.notes)
        if bool(scores.scored.all()):
            notes += self._differences(plan.predicted, usage)
        if self.price is not None:
            used = usage
            if plan.sent and usage.billed_units is None and self.price.per_search_unit is not None:
                used = replace(usage, billed_units=plan.predicted.billed_units)
                notes.append(f"{self.name} did not report what it billed: the cost is an estimate")
            usage = replace(usage, cost=self.price.of(used) if plan.sent else 0.0)
        scores = replace(scores, usage=usage, notes=tuple(notes))
        return _padded(scores, total, f"{self.name}: {plan.why}") if plan.why else scores

    def _differences(self, predicted: Usage, usage: Usage) -> list[str]:
        """Return a sentence for each quantity that differs from its prediction."""
        counted = [("billed_units", "billed", 0.0)]
        capped = self.cap is not None and self.cap.tokens is not None
        if capped or (self.price is not None and self.price.per_million_tokens is not None):
            counted.append(("tokens", "read", _TOLERANCE))
        notes = []
        for name, did, tolerance in counted:
            before, after = getattr(predicted, name), getattr(usage, name)
            if before is None or after is None or abs(before - after) <= tolerance * after:
                continue
            limit = None if self.cap is None else getattr(self.cap, name)
            above = ", and it is above the cap" if limit is not None and after > limit else ""
            notes.append(
                f"{self.name} {did} {after:g} {_LIMITS[name]}; {before:g} were predicted{above}"
            )
        return notes


def _padded(scores: PairScores, total: int, why: str) -> PairScores:
    """Return the scores of the first pairs as scores of all, the others unscored."""
    more = total - len(scores)
    return PairScores(
        np.concatenate([scores.values, np.full(more, np.nan, np.float32)]),
        np.concatenate([scores.scored, np.zeros(more, np.bool_)]),
        np.concatenate([scores.truncated, np.zeros(more, np.bool_)]),
        scores.kind,
        scores.model,
        scores.usage,
        scores.load_ms,
        scores.reason or "cap",
        (
            *scores.notes,
            (
                f"{why}: {more} of {number_of(total, 'pair')} {'was' if more == 1 else 'were'} "
                "not sent"
            ),
        ),
        (*scores.passages, *[()] * more) if scores.passages else (),
    )


def _at_least_zero(value: object) -> bool:
    return is_real(value) and value >= 0  # type: ignore[operator] # as checked
