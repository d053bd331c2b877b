"""`verdict`: compare two systems query by query, and decide."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from runoff._labels.caveats import caveats_of, doubted
from runoff._labels.remarks import check_found
from runoff._util.arguments import between, check_seed, count, is_share
from runoff._util.messages import number_of
from runoff.errors import InvalidArgument
from runoff.evaluation._measures.differences import compare_means, span_of
from runoff.evaluation._measures.measures import Measured
from runoff.evaluation._measures.power import detectable, more_queries
from runoff.evaluation._verdict.bounds import in_doubt
from runoff.evaluation._verdict.pairing import once_each, paired, questions
from runoff.evaluation._verdict.result import Change, Comparison, Verdict
from runoff.evaluation._verdict.unjudged import doubt_of, marked_in, pooled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from runoff.evaluation._verdict.pairing import Pair, Question, Slice, Slicing, Values
    from runoff.evaluation._verdict.result import Decision
    from runoff.evaluation._verdict.unjudged import Extent

_TIE = 1e-9
MAIN_SHARE = 0.8  # of the level, for the question that decides most
_JUDGED_GAP = 0.05
_LISTED = 5


@dataclass(frozen=True, slots=True)
class Rules:
    """How a verdict is reached; see `verdict`."""

    slices: Mapping[str, Slicing] | None = None
    bound: float = 0.01
    level: float = 0.05
    smallest: int = 10
    rounds: int = 10_000
    seed: int = 0
    unjudged: float | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        count("rounds", self.rounds)
        count("smallest", self.smallest)
        between("bound", self.bound)
        between("level", self.level, 1.0)
        check_seed(self.seed)
        if self.unjudged is not None and not is_share(self.unjudged):
            remedy = "must be a chance within 0 and 1, or None"
            raise InvalidArgument("unjudged", self.unjudged, remedy)


def verdict(  # noqa: PLR0913 - every setting has a default
    before: Measured | Values,
    after: Measured | Values,
    *,
    slices: Mapping[str, Slicing] | None = None,
    bound: float = 0.01,
    level: float = 0.05,
    smallest: int = 10,
    rounds: int = 10_000,
    seed: int = 0,
    unjudged: float | None = None,
) -> Verdict:
    """Compare two systems on the same judged queries and decide.

    The first measure decides, on all queries and on each slice; the other measures are reported on
    all queries. Each difference has a test and an interval that agree; Holm's procedure keeps the
    chance of any false finding within `level`: .8 of it goes to the first measure on all queries
    and the rest is shared evenly. Queries of the same text count as one.

    Counted results that nobody judged are uncertainty: the decision has to hold for the worst and
    for the best judgments that they could have, else it is undecided, and `Verdict.unjudged` lists
    the documents to judge.

    Args:
        before: one system's values, such as `evaluate(...)` of the run without a reranker.
        after: the other system's values, of the same queries and measures.
        slices: name to slicing, such as `by_length(queries)` or `collection.slices(label)`.
        bound: a difference that lies within plus or minus this, even in the worst case that the
            data allow, is no effect.
        level: the accepted chance of a false finding.
        smallest: slices of fewer queries are not tested.
        rounds: random draws of each test and interval.
        seed: of the random draws; the same seed gives the same verdict.
        unjudged: the highest chance that a counted result without a judgment is relevant, 0 to 1.
            With 1 such results may be anything, and with 0 they are not relevant. None takes 1 if
            more than 2% of the judgments say "not relevant"; else the judgments list the relevant
            documents, every other document is not relevant, and it takes 0.

    Raises:
        InvalidArgument: the two have different queries or measures, a value is not finite, no
            result of either is a judged document, or a number is out of its range.
    """
    rules = Rules(slices, bound, level, smallest, rounds, seed, unjudged)
    return decide(before, after, rules)


def decide(
    before: Measured | Values, after: Measured | Values, rules: Rules, *, brief: bool = False
) -> Verdict:
    """Return a verdict by some rules.

    Args:
        before: one system's values.
        after: the other system's.
        rules: the arguments of `verdict`.
        brief: whether the decision, its slices and the comparisons are all that is read; what
            explains them is then left out.
    """
    pair, unjudged = paired(before, after), rules.unjudged
    if isinstance(before, Measured) and isinstance(after, Measured) and before.qrels:
        check_found((before.answers, after.answers), before.qrels)
    found, extent = _decided(pair, rules, brief=brief), _extent(before, after, pair, unjudged)
    if extent is not None:
        decided = partial(_decided, rules=rules, brief=True)
        found = in_doubt(pair, extent, decided, found, brief=brief)
    if unjudged is None and extent is None and (note := _marked(before, after, pair)):
        found = replace(found, notes=(*found.notes, note))
    return doubted(found, caveats_of(before, after) or _irrelevant(before, after))


def _irrelevant(before: Measured | Values, after: Measured | Values) -> str:
    """Return why judgments without a relevant document prove nothing; empty if they have one."""
    grades = [
        grade
        for one in (before, after)
        if isinstance(one, Measured)
        for judged in one.qrels.values()
        for grade in judged.values()
    ]
    if not grades or max(grades) > 0:
        return ""
    return "all of documents that are not relevant, so that every value is 0"


def _extent(
    before: Measured | Values, after: Measured | Values, pair: Pair, chance: float | None
) -> Extent | None:
    """Return what unjudged documents could do to the first measure; None if nothing, or unknown."""
    if chance == 0 or not (isinstance(before, Measured) and isinstance(after, Measured)):
        return None
    if not _comparable(before, after) or (chance is None and not pooled(before.qrels)):
        return None
    return doubt_of(before, after, pair.measures[0], 1.0 if chance is None else chance)


def _marked(before: Measured | Values, after: Measured | Values, pair: Pair) -> str:
    if not (isinstance(before, Measured) and isinstance(after, Measured)):
        return ""
    if not _comparable(before, after) or pooled(before.qrels):
        return ""
    return marked_in(before, after, pair.measures[0])


def _comparable(before: Measured, after: Measured) -> bool:
    """Return whether both were measured by the same judgments, on the same queries."""
    same = before.qrels == after.qrels and before.query_ids == after.query_ids
    return bool(before.qrels) and same


def _decided(pair: Pair, rules: Rules, *, brief: bool) -> Verdict:
    """Return the verdict on two systems' values as they are."""
    every, pair = pair, once_each(pair)
    bound, level, rounds, seed = rules.bound, rules.level, rules.rounds, rules.seed
    asked, notes = questions(pair, rules.slices or {}, rules.smallest)
    shares = np.full(len(asked), (1 - MAIN_SHARE) / max(1, len(asked) - 1))
    shares[0] = 1.0 if len(asked) == 1 else MAIN_SHARE
    compared = _compared(pair, asked, shares, level, rounds, seed)
    if shares.min() * level * (rounds + 1) < 2:  # noqa: PLR2004 - a two-sided p is at least this
        notes.append(f"{rounds} rounds are too few to prove one of {len(asked)} comparisons.")
    main, main_level = compared[0], float(level * shares[0])
    several = main.queries > 1
    deviation = float(pair.deltas[0].std(ddof=1)) if several else 0.0
    decision, keep_for, remove_for = _decision(compared, bound, level)
    changes = () if brief else _changes(every)
    more = None
    if decision == "undecided" and not brief:
        span = span_of(pair.before[0], pair.after[0])
        more = more_queries(pair.deltas[0], bound=bound, span=span, level=main_level, seed=seed)
    return Verdict(
        decision,
        _reason(decision, main, keep_for, remove_for, more, bound),
        main,
        tuple(compared),
        keep_for,
        remove_for,
        tuple(one for one in changes[:_LISTED] if one.delta > _TIE),
        tuple(one for one in changes[: -_LISTED - 1 : -1] if one.delta < -_TIE),
        more,
        detectable(deviation, main.queries, level=main_level) if several else None,
        bound,
        level,
        rounds,
        seed,
        (*notes, *pair.notes, *_cautions(main, decision, bound, level)),
        changes,
    )


def _compared(
    pair: Pair,
    asked: Sequence[Question],
    shares: NDArray[np.float64],
    level: float,
    rounds: int,
    seed: int,
) -> list[Comparison]:
    members = np.array([one.members for one in asked]).T
    rows = pair.deltas[[one.measure for one in asked]].T
    deltas = np.where(members, rows, 0.0)
    spans = [span_of(*sides) for sides in zip(pair.before, pair.after, strict=True)]
    span = np.array([spans[one.measure] for one in asked])
    found = compare_means(
        deltas, members, span, shares=shares, level=level, rounds=rounds, seed=seed
    )
    compared = []
    for at, one in enumerate(asked):
        inside = rows[one.members, at]
        compared.append(
            Comparison(
                pair.measures[one.measure],
                one.slice,
                len(inside),
                float(pair.before[one.measure, one.members].mean()),
                float(pair.after[one.measure, one.members].mean()),
                float(inside.mean()),
                (float(found.intervals[at, 0]), float(found.intervals[at, 1])),
                float(found.p[at]),
                float(found.adjusted[at]),
                int((inside > _TIE).sum()),
                int((np.abs(inside) <= _TIE).sum()),
                int((inside < -_TIE).sum()),
                pair.judged_shares(one.measure, one.members),
                (float(found.worst[at, 0]), float(found.worst[at, 1])),
            )
        )
    return compared


def _decision(
    compared: Sequence[Comparison], bound: float, level: float
) -> tuple[Decision, tuple[Slice, ...], tuple[Slice, ...]]:
    """Return the decision and the slices proven to be helped (or spared) and harmed."""
    main = compared[0]
    sliced = {one.slice: one for one in compared if one.slice is not None}
    proven = {name: one for name, one in sliced.items() if one.adjusted_p <= level}
    helped = tuple(name for name, one in proven.items() if one.difference > 0)
    harmed = tuple(name for name, one in proven.items() if one.difference < 0)
    better = main.adjusted_p <= level and main.difference > 0
    worse = main.adjusted_p <= level and main.difference < 0
    ends = (*main.interval, *main.worst)
    shown = -bound <= min(ends) and max(ends) <= bound
    if shown and not helped and not harmed:
        return "no effect", (), ()
    if better and harmed:
        names = {name for name, _ in harmed}
        spared = tuple(one for one in sliced if one[0] in names and one not in harmed)
        return "keep for these slices", spared, harmed
    if better:
        return "keep", helped, ()
    if helped:
        return "keep for these slices", helped, harmed
    return ("remove" if worse else "undecided"), (), harmed


def _reason(
    decision: Decision,
    main: Comparison,
    keep_for: tuple[Slice, ...],
    remove_for: tuple[Slice, ...],
    more: tuple[int, int] | None,
    bound: float,
) -> str:
    low, high = main.interval
    found = (
        f"{main.measure} {main.difference:+.4f} [{low:+.4f}, {high:+.4f}] on "
        f"{number_of(main.queries, 'query')}"
    )
    kept = ", ".join(map("=".join, keep_for))
    removed = ", ".join(map("=".join, remove_for))
    harm = f"; it harms {removed}" if removed else ""
    if decision == "no effect":
        low, high = main.worst
        return (
            f"{found} is within {bound:g} either way, even if queries unlike these change as much "
            f"as they can [{low:+.4f}, {high:+.4f}]."
        )
    if decision == "keep for these slices":
        return f"{found}; keep it for {kept or 'the queries that it does not harm'}{harm}."
    if decision != "undecided":
        return f"{found} is proven (p {main.adjusted_p:.4f}){harm}."
    if more is None:
        return f"{found}; these queries cannot show how many more would decide{harm}."
    few, many = more
    return f"{found}; {few:,} to {many:,} more judged queries like these would decide{harm}."


def _changes(pair: Pair) -> tuple[Change, ...]:
    """Return what every query gained by the first measure, the largest gain first."""
    before, after = pair.before[0].tolist(), pair.after[0].tolist()
    order = np.argsort(pair.deltas[0], kind="stable")[::-1].tolist()
    ids = pair.query_ids
    return tuple(
        Change(ids[at], pair.texts.get(ids[at], ""), before[at], after[at]) for at in order
    )


def _cautions(main: Comparison, decision: Decision, bound: float, level: float) -> Iterator[str]:
    if main.ties == main.queries:
        unseen = 1 - level ** (1 / main.queries)
        yield (
            f"No query changed, but a system that changes up to {unseen:.1%} of all queries could "
            "show the same."
        )
    elif decision == "undecided" and main.interval[0] >= -bound and main.interval[1] <= bound:
        low, high = main.worst
        yield (
            f"The interval lies within {bound:g} either way, but "
            f"{number_of(main.queries, 'query')} cannot "
            f"rule out rare changes; with those it may reach from {low:+.4f} to {high:+.4f}."
        )
    if main.judged is not None and abs(main.judged[1] - main.judged[0]) > _JUDGED_GAP:
        fewer = "after" if main.judged[1] < main.judged[0] else "before"
        yield (
            f"Fewer results of `{fewer}` were judged ({main.judged[0]:.0%} before, "
            f"{main.judged[1]:.0%} after). Unjudged results count as not relevant, so the "
            f"comparison is unfair to `{fewer}`."
        )
