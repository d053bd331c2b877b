"""What a verdict says if only some of the results were judged, against what all judgments say.

A pool is drawn 500 times: some queries, two systems, and judgments of the first one's top 10 alone.
A verdict is wrong if it claims a gain where all judgments of all queries show none, or a loss where
they show none, or no effect where they show one beyond the bound.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from harness import Report, Requirement, Skipped, Table, say
from judged import Collection as Judged
from recalled import sources

from runoff import Query
from runoff.errors import MissingExtra
from runoff.evaluation import Collection, evaluate, verdict
from runoff.fusion import RRF, Convex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from harness import Options

    from runoff.evaluation import Verdict

__all__ = ["run"]

COLLECTIONS = ("msmarco-dl19-pool", "cranfield", "nfcorpus")
DECISIONS = ("keep", "remove", "no effect", "undecided")
_POOLS, _MISSING_POOLS = 500, 100
_SIZES = (30, 50, 100)
_TOP = 10
_ROUNDS = 1000
_WRONG = 0.02
_BOUND = 0.01
_MEASURE = "nDCG@10"
_ALL, _BLIND, _POOL = (
    "all results judged",
    "the first system's top 10 judged, the rest not relevant (0.1.0)",
    "the first system's top 10 judged, with bounds",
)

Runs = dict[str, list[str]]


def run(options: Options) -> Report:
    """Draw pools and count what the verdict says of them."""
    rows: list[Sequence[object]] = []
    required: list[Requirement] = []
    notes: list[str] = []
    for name in options.collections or COLLECTIONS:
        try:
            judged = Judged.load(name, 40 if options.quick else options.queries)
            systems = _systems(judged)
        except (Skipped, MissingExtra) as missing:
            notes.append(f"skipped {name}: {missing}")
            continue
        say(f"{name}: drawing pools")
        pools, few = (4, 2) if options.quick else (_POOLS, _MISSING_POOLS)
        counted, changed = _drawn(judged, systems, pools, few)
        for condition, found in counted.items():
            rows.append((name, condition, found.many, *found.shares(), found.wrong / found.many))
            if condition == _POOL:
                what = f"wrong proven verdicts on {name}"
                required.append(Requirement(what, found.wrong / found.many, _WRONG))
        what = f"verdicts on {name} that the bounds change although all results are judged"
        required.append(Requirement(what, float(changed), 0.0))
    if not rows:
        raise Skipped("; ".join(notes))
    return Report(
        [
            _by_condition(rows),
        ],
        required,
        notes,
    )


def _by_condition(rows: Sequence[Sequence[object]]) -> Table:
    """Return a table with a row for each condition and a column for each collection.

    Args:
        rows: collection, condition, pools, the share of each decision, the share of wrong ones.
    """
    pools: dict[str, object] = {}
    found: dict[str, dict[str, str]] = {}
    for name, condition, many, *decided, _, wrong in rows:
        pools[str(name)] = max(many, pools.get(str(name), 0))  # type: ignore[type-var] # counts
        shares = [float(one) for one in decided]  # type: ignore[arg-type] # numbers
        each = ", ".join(f"{one:.0%}" for one in shares)
        cell = f"{sum(shares):.0%} ({each}); {wrong:.1%}"
        found.setdefault(str(condition), {})[str(name)] = cell
    most = ", ".join(f"{many} of {name}" for name, many in pools.items())
    return Table(
        "Verdicts that decide (keep, remove, no effect); and those that are wrong",
        ("judged", *pools),
        [(one, *(cells.get(name, "") for name in pools)) for one, cells in found.items()],
        f"Shares of pools: {most}; of {_MISSING_POOLS} where a few are not judged. Systems: "
        f"{', '.join(_NAMES)}; 30, 50 or 100 queries (three quarters of them where there are "
        "fewer). Likely: what would be decided if unjudged results were relevant no more often "
        "than judged ones.",
    )


_NAMES = (
    "BM25",
    "dense",
    "RRF",
    "Convex(zscore)",
    "BM25 with noise",
    "BM25 with its top 20 shuffled",
)


def _systems(judged: Judged) -> dict[str, Runs]:
    """Return the orders of six systems, of which two do harm."""
    given, rng = sources(judged), np.random.default_rng(0)
    made: dict[str, Runs] = {name: {} for name in _NAMES}
    for query_id, text in judged.queries.items():
        hits = {name: one.retrieve(Query(text), depth=100) for name, one in given.items()}
        for name, source in zip(_NAMES, hits.values(), strict=False):
            made[name][query_id] = [hit.doc_id for hit in source]
        for name, fusion in (("RRF", RRF()), ("Convex(zscore)", Convex(normalizer="zscore"))):
            scores = fusion.fuse(hits)
            made[name][query_id] = sorted(scores, key=lambda key: (-scores[key], key))
        first = made["BM25"][query_id]
        places = np.argsort(np.arange(len(first)) + rng.normal(0, 4, len(first)))
        made[_NAMES[4]][query_id] = [first[at] for at in places.tolist()]
        head = rng.permutation(min(20, len(first))).tolist()
        made[_NAMES[5]][query_id] = [*(first[at] for at in head), *first[20:]]
    # nDCG@10 reads no further, and measuring all hundred takes twice as long
    return {
        name: {query_id: order[:_TOP] for query_id, order in runs.items()}
        for name, runs in made.items()
    }


class _Counted:
    """Verdicts under one condition."""

    def __init__(self) -> None:
        self.decisions: Counter[str] = Counter()
        self.wrong = 0

    @property
    def many(self) -> int:
        return self.decisions.total()

    def shares(self) -> list[float]:
        return [self.decisions[decision] / self.many for decision in DECISIONS]

    def add(self, decision: str, true: float) -> None:
        self.decisions[decision] += 1
        self.wrong += (
            (decision == "keep" and true <= 0)
            or (decision == "remove" and true >= 0)
            or (decision == "no effect" and abs(true) > _BOUND)
        )


def _drawn(
    judged: Judged, systems: Mapping[str, Runs], pools: int, few: int
) -> tuple[dict[str, _Counted], int]:
    """Return the verdicts by condition, and how many full judgments changed with the bounds."""
    rng = np.random.default_rng(1)
    ids = list(judged.qrels)
    whole = Collection(judged.queries, judged.qrels)
    values = {
        name: evaluate(run, whole, [_MEASURE]).by_query(_MEASURE) for name, run in systems.items()
    }
    counted: dict[str, _Counted] = {}
    changed = 0
    for at in range(pools):
        size = int(rng.choice(_SIZES))
        size = size if size < len(ids) else 3 * len(ids) // 4
        chosen = [ids[place] for place in rng.choice(len(ids), size, replace=False).tolist()]
        before, after = (_NAMES[place] for place in rng.choice(len(_NAMES), 2, replace=False))
        pair = systems[before], systems[after]
        true = float(np.mean([values[after][one] - values[before][one] for one in ids]))

        def shown(one: str, pair: tuple[Runs, Runs] = pair) -> set[str]:
            return {doc_id for side in pair for doc_id in side[one][:_TOP]}

        def said(
            condition: str,
            kept: Callable[[str], Iterable[str]],
            unjudged: float | None = None,
            *,
            pair: tuple[Runs, Runs] = pair,
            chosen: Sequence[str] = chosen,
            true: float = true,
        ) -> Verdict:
            pool = Collection(
                {one: judged.queries[one] for one in chosen},
                {one: {doc: judged.qrels[one].get(doc, 0) for doc in kept(one)} for one in chosen},
            )
            sides = [
                evaluate({one: side[one] for one in chosen}, pool, [_MEASURE]) for side in pair
            ]
            found = verdict(*sides, rounds=_ROUNDS, unjudged=unjudged)
            if condition:
                counted.setdefault(condition, _Counted()).add(found.decision, true)
            if condition and unjudged is None and condition != _ALL:
                likely = found.decision if found.unjudged is None else found.unjudged.likely
                counted.setdefault(f"{condition}: likely", _Counted()).add(likely, true)
            return found

        def all_of(one: str, shown: Callable[[str], set[str]] = shown) -> set[str]:
            return shown(one) | set(judged.qrels[one])

        full = said(_ALL, all_of)
        plain = said("", all_of, 0.0)
        changed += full.decision != plain.decision or full.unjudged is not None
        said(_BLIND, lambda one, first=pair[0]: first[one][:_TOP], 0.0)
        said(_POOL, lambda one, first=pair[0]: first[one][:_TOP])
        for share in (0.02, 0.05, 0.1) if at < few else ():

            def some(
                one: str, share: float = share, shown: Callable[[str], set[str]] = shown
            ) -> list[str]:
                judged_ones = sorted(shown(one) | set(judged.qrels[one]))
                lost = shown(one)
                return [doc for doc in judged_ones if doc not in lost or rng.random() > share]

            said(f"all but {share:.0%} of the top 10 judged, with bounds", some)
    return counted, changed
