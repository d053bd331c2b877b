"""Whether what `tune` and `curve` promise holds on queries that had no part in the choice.

Queries are divided at random many times: choices are made on one part and looked at on the other.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from harness import Report, Requirement, Skipped, Table, cache_root, say
from judged import Collection
from recalled import sources

from runoff import TwoStage
from runoff.errors import MissingExtra
from runoff.evaluation import curve, record
from runoff.evaluation._curve import recommended
from runoff.evaluation._grid import grid_settings, own_setting
from runoff.evaluation._measures.choice import argmax, cheapest_of_the_best, held_out
from runoff.evaluation._trials import run_trials
from runoff.evaluation._tune import choose, cost_rank
from runoff.rerank import CrossEncoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness import Options
    from numpy.typing import NDArray

    from runoff.evaluation import Curve, Recording
    from runoff.evaluation._trials import Trials
    from runoff.evaluation._tune import Tuning

__all__ = ["run"]

COLLECTIONS = ("scifact", "nfcorpus")
DECISIONS = ("better", "cheaper", "keep what you have")
_DEPTH, _WINDOW = 30, 20
_RESAMPLES = 200
_SAMPLE = 100  # queries that a choice is made on
_REGRET = 0.005
_HARM = 0.01


def run(options: Options) -> Report:
    """Measure optimism, harm and regret, and how long it takes."""
    tables: list[Table] = []
    required: list[Requirement] = []
    notes: list[str] = []
    optimism: list[Sequence[object]] = []
    decided: list[Sequence[object]] = []
    regrets: list[Sequence[object]] = []
    times: list[Sequence[object]] = []
    rounds = 5 if options.quick else _RESAMPLES
    for name in options.collections or COLLECTIONS:
        try:
            collection = Collection.load(name, 8 if options.quick else options.queries)
        except Skipped as missing:
            notes.append(f"skipped {name}: {missing}")
            continue
        made = _recorded(collection)
        say(f"{name}: trying settings")
        settings = grid_settings(made.setup)
        started = time.perf_counter()
        trials = run_trials(made, collection, settings, ["nDCG@10"])
        tune_seconds = time.perf_counter() - started
        started = time.perf_counter()
        found = choose(trials)
        times.append((name, len(settings), tune_seconds, time.perf_counter() - started))
        say(f"{name}: {rounds} resamples")
        seen = _optimism(name, trials, rounds)
        optimism += seen
        decided.append(_decided(name, trials, rounds))
        shown = curve(made, collection)
        tables.append(_curve(name, shown))
        windows = [one.window for one in shown.points]
        regrets.append(_regret(name, _by_window(made, collection, windows), rounds))
        required.append(Requirement(f"regret of the window on {name}", regrets[-1][-2], _REGRET))
        required += [Requirement(f"optimism on {name}: {one[1]}", one[-2]) for one in seen]
        what = f"recommendations of tune on {name} that lose more than {_HARM:g}, share"
        required.append(Requirement(what, decided[-1][-2]))
        notes.append(f"{name}, all queries: {found.decision}: {found.reason} {found.recommended}")
    if not regrets:
        raise Skipped("; ".join(notes))
    sizes = f"on up to {_SAMPLE} queries (half, where there are fewer than twice as many)"
    return Report(
        [
            *tables,
            Table(
                f"Optimism of a choice made {sizes}, nDCG@10",
                ("collection", "choice", "promised", "on the rest", "optimism", "gain on the rest"),
                optimism,
                f"Means of {rounds} resamples. Gain is over the configured setting, on the rest. "
                "What is promised is corrected for how much harder the rest is for all settings.",
            ),
            Table(
                f"What tune decides {sizes}",
                ("collection", *DECISIONS, f"loses over {_HARM:g}", "worst"),
                decided,
                "Shares of resamples; losses are of the recommendation against the configured "
                "setting on the rest.",
            ),
            Table(
                f"Regret of the recommended window, {rounds} halves",
                ("collection", "windows", "regret", "against the best of the rest itself"),
                regrets,
                "nDCG@10 of the best window of all queries minus that of the recommended, both on "
                "the half that had no part in it. The best of the rest itself is best by chance "
                "too: what nobody can know.",
            ),
            Table(
                "Seconds of tune",
                ("collection", "settings", "replays and measures", "choice and folds"),
                times,
            ),
        ],
        required if not options.quick else (),
        notes,
    )


def _recorded(collection: Collection) -> Recording:
    """Return a recording of the embedded models, made once for each model and set of queries."""
    scorer = CrossEncoder("runoff-mini")
    try:
        model = scorer.score([("query", "document")]).model
        first = sources(collection, _DEPTH)
    except MissingExtra as error:
        raise Skipped(str(error)) from error
    live = TwoStage(first, reranker=scorer, depth=_DEPTH, window=_WINDOW)
    path = (
        cache_root() / f"tuning-{collection.name}-{len(collection.queries)}-{model.revision[:12]}"
    )
    say(f"recording {len(collection.queries)} queries of {collection.name}, as far as not done yet")
    return record(live, collection, _DEPTH, path=path, progress=False, workers=1)


def _curve(name: str, shown: Curve) -> Table:
    rows: list[Sequence[object]] = [
        (
            one.window, one.values["nDCG@10"], one.values["R@10"], one.gain, *one.gain_interval,
            "" if one.per_10_candidates is None else one.per_10_candidates, one.ms, one.p95_ms,
        )
        for one in shown.points
    ]  # fmt: skip
    columns = (
        "window", "nDCG@10", "R@10", "gain", "from", "to", "per 10 more", "mean ms", "p95 ms"
    )  # fmt: skip
    note = (
        f"{shown.shape}; recommended {shown.recommended}, in use {shown.configured}; regret "
        f"{shown.regret:+.4f} by cross-validation. First-stage hits were ready: times are the "
        "reranker's."
    )
    return Table(f"{name}: the window, {shown.queries} queries", columns, rows, note)


def _by_window(recording: Recording, collection: Collection, windows: Sequence[int]) -> Trials:
    own = own_setting(recording.setup)
    none = replace(own, window=0, blend=None, threshold=None)
    settings = [none, *(replace(own, window=one) for one in windows if one)]
    return run_trials(recording, collection, settings, ["nDCG@10"])


def _parts(queries: int, size: int, rounds: int) -> list[tuple[NDArray[np.int64], ...]]:
    """Return places of queries to choose on and the places of the rest."""
    rng = np.random.default_rng(0)
    drawn = [rng.permutation(queries) for _ in range(rounds)]
    return [(one[:size], one[size:]) for one in drawn]


def _size(trials: Trials) -> int:
    return min(_SAMPLE, len(trials.query_ids) // 2)


def _optimism(name: str, trials: Trials, rounds: int) -> list[Sequence[object]]:
    """Compare what choices promise with what the rest of the queries see."""
    values, rank = trials.quality, cost_rank(trials)
    rows: dict[str, list[tuple[float, float, float]]] = {}
    for seed, (on, rest) in enumerate(_parts(values.shape[1], _size(trials), rounds)):
        sample = values[:, on]
        ahead = float(held_out(sample, rank, folds=5, rounds=10, seed=seed).values.mean())
        best, cheap = argmax(sample), cheapest_of_the_best(sample, rank)
        promised = {
            "best mean, its own mean": (best, float(sample[best].mean())),
            "one standard error, its own mean": (cheap, float(sample[cheap].mean())),
            "tune, held-out mean": (cheap, ahead),
        }
        for what, (chosen, promise) in promised.items():
            seen, own = float(values[chosen, rest].mean()), float(values[0, rest].mean())
            # the sample and the rest differ in how hard they are, which is no optimism
            harder = float(values[:, on].mean() - values[:, rest].mean())
            rows.setdefault(what, []).append((promise - harder, seen, seen - own))
    found: list[Sequence[object]] = []
    for what, figures in rows.items():
        promise, seen, gain = np.mean(figures, axis=0).tolist()
        found.append((name, what, promise, seen, promise - seen, gain))
    return found


def _decided(name: str, trials: Trials, rounds: int) -> Sequence[object]:
    """Count what is decided, and how often the recommendation loses on the rest."""
    values, decisions, changes = trials.quality, Counter[str](), []
    places = {repr(one): at for at, one in enumerate(trials.settings)}
    for seed, (on, rest) in enumerate(_parts(values.shape[1], _size(trials), rounds)):
        found: Tuning = choose(trials.only(on), seed=seed)
        decisions[found.decision] += 1
        chosen = places[repr(found.recommended.setting)]
        changes.append(float((values[chosen, rest] - values[0, rest]).mean()))
    shares = [decisions[one] / rounds for one in DECISIONS]
    return (name, *shares, float(np.mean(np.array(changes) < -_HARM)), min(changes))


def _regret(name: str, trials: Trials, rounds: int) -> Sequence[object]:
    """Recommend a window on one half, and see on the other what it loses."""
    values = trials.quality
    best = argmax(values)
    found = []
    for on, rest in _parts(values.shape[1], values.shape[1] // 2, rounds):
        chosen = recommended(values[:, on])
        seen = values[:, rest].mean(axis=1)
        found.append((seen[best] - seen[chosen], seen.max() - seen[chosen]))
    return (name, len(values), *np.mean(found, axis=0).tolist())
