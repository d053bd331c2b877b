"""The best simple system: what a second stage has to beat to be worth its time.

Each source alone, the fused order, and other fusions of the same sources answer without a second
stage, at a fraction of its time. The best of them is chosen for each query on the other queries, so
that choosing it favours neither side (cross-fitting: Stone 1974).
"""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from runoff._labels.remarks import check_judged, check_recorded, degraded
from runoff._recording.first_stage import prepared
from runoff._recording.replay import plan_replay
from runoff._recording.runs import BEST, RERANKED, by_stage_with_pairs
from runoff._recording.traverse import traverse
from runoff.errors import InvalidArgument
from runoff.evaluation._grid import Answers, default_grid, grid_settings
from runoff.evaluation._measures.choice import argmax
from runoff.evaluation._measures.measures import MEASURES, Evaluator
from runoff.evaluation._trials import Costs
from runoff.evaluation._verdict.result import Rival
from runoff.evaluation._verdict.verdict import Rules, decide, verdict
from runoff.fusion._convex import Convex

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from numpy.typing import NDArray

    from runoff._recording.recording import Recording
    from runoff._recording.setup import Setup
    from runoff.evaluation._grid import Setting
    from runoff.evaluation._measures.measures import Judged, Measured, Run
    from runoff.evaluation._verdict.result import Decision, Verdict

_FOLDS = 5
_WHOLE = 10  # from this many milliseconds on, no fraction is shown
_KEPT = ("keep", "keep for these slices")


@dataclass(frozen=True, slots=True)
class Contest:
    """A recorded system and the simple systems that it has to beat.

    Attributes:
        runs: name to run: each source, the fused order, the best first stage, and the system.
        compared: the names of the strongest simple system and of the system.
        others: the names of the other simple systems, which the system has to beat too.
        ms: name to the median milliseconds of a search, estimated from the recording.
        notes: how the best first stage was chosen, as sentences.
        setting: the setting that was chosen most often as the best first stage.
    """

    runs: Mapping[str, Run]
    compared: tuple[str, str]
    others: tuple[str, ...]
    ms: Mapping[str, float]
    notes: tuple[str, ...] = ()
    setting: str = ""


def contest(recording: Recording, collection: Judged, measures: Iterable[object]) -> Contest:
    """Return a recorded system with a second stage beside every simple system.

    Args:
        recording: what `record` returned.
        collection: the judgments of its queries.
        measures: as ir-measures names them; the first chooses the best first stage.

    Raises:
        InvalidArgument: the system has no second stage, or as `Evaluator`.
        MissingExtra: ir-measures is not installed.
    """
    setup = recording.setup
    if not setup.steps:
        raise InvalidArgument(
            "recording", recording, "must be a recording of a system with a second stage"
        )
    runs, pairs = by_stage_with_pairs(recording)
    names = [name for name in runs if name != RERANKED]
    ids = tuple(collection.qrels)
    answers = Answers(recording, ids)
    costs = Costs(answers.queries, setup.steps)
    nothing = [0] * len(ids)
    asked = {name: (name,) if name in setup.sources else setup.sources for name in names}
    ms = {name: float(np.median(costs.of(one, nothing).ms)) for name, one in asked.items()}
    read = [pairs[query_id] for query_id in ids]
    ms[RERANKED] = float(np.median(costs.of(setup.sources, read).ms))
    if len(setup.sources) == 1:
        return Contest(runs, (names[-1], RERANKED), tuple(names[:-1]), ms)
    settings, found = _first_stages(answers, setup)
    decisive = list(measures)[:1]
    evaluator = Evaluator(collection, decisive)
    counted = ({query_id: one[query_id][: evaluator.deepest] for query_id in one} for one in found)
    values = np.array([evaluator.evaluate(one).values[evaluator.measures[0]] for one in counted])
    chosen = _chosen(values)
    best = {query_id: list(found[at][query_id]) for query_id, at in zip(ids, chosen, strict=True)}
    spent = [costs.of(one.sources, nothing).ms for one in settings]
    ms[BEST] = float(np.median([spent[at][place] for place, at in enumerate(chosen)]))
    (most, _), *_ = Counter(chosen).most_common()
    likely = str(settings[most]).removesuffix(", no reranker")
    note = (
        f"{BEST}: the best of {len(settings)} first stages on the other queries, mostly {likely}."
    )
    every = {**{name: runs[name] for name in names}, BEST: best, RERANKED: runs[RERANKED]}
    return Contest(every, (BEST, RERANKED), tuple(names), ms, (note,), likely)


def second_stage_verdict(
    recording: Recording,
    collection: Judged,
    *,
    measures: Iterable[object] = MEASURES,
    **options: Any,  # noqa: ANN401 - as `verdict` takes them
) -> Verdict:
    """Return whether the second stage is worth more than the best system without one.

    Args:
        recording: what `record` returned.
        collection: the judgments of its queries.
        measures: as ir-measures names them; the first decides.
        **options: `slices`, `bound`, `unjudged` and the others that `verdict` takes.

    Raises:
        InvalidArgument: the system has no second stage, or as `Evaluator` and `verdict`.
        MissingExtra: ir-measures is not installed.
    """
    check_judged(collection)
    check_recorded(recording, collection)
    given = [measures] if isinstance(measures, str) else list(measures)
    found = contest(recording, collection, given)
    evaluator = Evaluator(collection, given)
    measured = {name: evaluator.evaluate(run) for name, run in found.runs.items()}
    made = against(measured, found, **options)
    return replace(made, notes=(*made.notes, *found.notes, *degraded(recording)))


def against(
    measured: Mapping[str, Measured],
    found: Contest,
    **options: Any,  # noqa: ANN401 - as `verdict`
) -> Verdict:
    """Return the verdict on a system against the best simple system.

    It is kept only if it is proven better than the best first stage and than each source alone and
    the fused order: a claim that all of several hold needs no correction (Berger 1982).

    Args:
        measured: name to what `evaluate` returned, for every run of the contest.
        found: the contest.
        **options: as `verdict` takes them.
    """
    before, after = found.compared
    main = verdict(measured[before], measured[after], **options)
    first = main.main.measure
    plain, rules = _only(measured[after], first), Rules(**options)
    singles = {
        name: decide(_only(measured[name], first), plain, rules, brief=True)
        for name in found.others
    }
    rivals = tuple(
        Rival(
            name,
            one.main.before,
            one.main.difference,
            one.main.interval,
            one.decision in _KEPT,
            found.ms.get(name),
            found.setting if name == BEST else "",
        )
        for name, one in {before: main, **singles}.items()
    )
    decision: Decision = main.decision
    kept = main.keep_for
    unbeaten = [one for one in rivals[1:] if not one.beaten]
    reason = main.reason
    if decision in _KEPT:
        kept = tuple(one for one in kept if all(_keeps(other, one) for other in singles.values()))
        if unbeaten:
            decision = "undecided"
            worst = min(unbeaten, key=lambda one: one.difference)
            reason = (
                f"{reason.removesuffix('.')} against the {before}, but {worst.name} alone is not "
                f"proven to be worse ({worst.difference:+.4f} [{worst.interval[0]:+.4f}, "
                f"{worst.interval[1]:+.4f}])."
            )
        elif decision == "keep for these slices" and main.keep_for and not kept:
            decision = "undecided"
        elif any(one.decision == "keep for these slices" for one in singles.values()):
            decision = "keep for these slices" if kept else "undecided"
    return replace(
        main,
        decision=decision,
        keep_for=kept if decision in _KEPT else (),
        reason=_timed(reason, found),
        rivals=rivals,
        ms=found.ms.get(after),
    )


def _keeps(found: Verdict, one: tuple[str, str]) -> bool:
    return found.decision == "keep" or one in found.keep_for


def _timed(reason: str, found: Contest) -> str:
    before, after = found.compared
    if before not in found.ms or after not in found.ms:
        return reason
    return f"{reason} It takes {_ms(found.ms[after])}, the {before} {_ms(found.ms[before])}."


def _ms(value: float) -> str:
    return f"{value:.1f} ms" if value < _WHOLE else f"{value:.0f} ms"


def _only(measured: Measured, measure: str) -> Measured:
    return replace(
        measured,
        values={measure: measured.values[measure]},
        judged={measure: measured.judged[measure]},
        notes=(),
    )


def _first_stages(answers: Answers, setup: Setup) -> tuple[list[Setting], list[Run]]:
    """Return the settings without a second stage that can be replayed, and their answers."""
    grid = default_grid(setup)
    fusions = [*grid["fusion"], Convex(normalizer="minmax")]
    given = {"fusion": fusions, "weights": grid["weights"], "window": [0]}
    unlike: dict[str, Setting] = {}
    for one in grid_settings(setup, given):
        if not one.window:
            # one source has one order, however it is fused
            unlike.setdefault(one.sources[0] if len(one.sources) == 1 else repr(one), one)
    found: dict[int, Run] = {}
    settings = list(unlike.values())
    of_sources: dict[tuple[str, ...], list[int]] = {}
    for at, one in enumerate(settings):
        of_sources.setdefault(one.sources, []).append(at)
    for places in of_sources.values():
        found |= _replayed(answers, {at: settings[at] for at in places})
    kept = sorted(found)
    return [settings[at] for at in kept], [found[at] for at in kept]


def _replayed(answers: Answers, settings: Mapping[int, Setting]) -> dict[int, Run]:
    """Return the answers of settings of the same sources, where the sources' scores allow them.

    Every query is prepared once for all of them: it takes longer than any of the replays.
    """
    found: dict[int, dict[str, list[str]]] = {}
    plans = {}
    for at, one in settings.items():
        recording, given = answers.asked(one)
        with contextlib.suppress(InvalidArgument):  # a fusion that these scores do not allow
            plans[at] = plan_replay(recording, top_k=None, **given)
            found[at] = {}
    for query in prepared(recording):
        for at, plan in list(plans.items()):
            try:
                ended = traverse(query, plan)
            except InvalidArgument:  # as above
                del plans[at], found[at]
            else:
                found[at][ended.query.query_id] = ended.documents(ended.answer)
    return dict(found)


def _chosen(values: NDArray[np.float64]) -> list[int]:
    """Return for each query the setting that is best on the folds without it."""
    queries = values.shape[1]
    if queries == 1:
        return [0]
    folds = min(_FOLDS, queries)
    fold = np.random.default_rng(0).permutation(queries) % folds
    best = [argmax(values[:, fold != at]) for at in range(folds)]
    return [best[at] for at in fold.tolist()]
