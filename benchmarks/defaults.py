"""What the defaults are worth: sources alone, fusions, and second stages by blend and window.

Everything is read off recordings by replay. Settings are chosen by train and dev queries; the test
queries of the collections are looked at afterwards and choose nothing. `--collections` takes names
with a split, such as `scifact:train`; recordings are kept in the folder `--cache`, so that a run
that was stopped goes on. `--stages` names rerankers: a model, or a class of `runoff.rerank`.
"""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness import Report, Skipped, Table, cache_root, say
from judged import Collection, bootstrap, mean, measured
from recalled import sources

import runoff.rerank
from runoff import TwoStage
from runoff.evaluation import Setting, record
from runoff.evaluation._grid import Answers
from runoff.fusion import RRF, Convex
from runoff.rerank import CrossEncoder, DiskCache, Pointwise

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness import Options

    from runoff.evaluation import Recording
    from runoff.protocols import Fusion

__all__ = ["run"]

CHOSEN_ON = (
    "scifact:train",
    "nfcorpus:dev",
    *(
        f"train/{one}:train"
        for one in (
            "boolq-val",
            "covidqa-200423",
            "docs-aws",
            "docs-databases",
            "docs-guides",
            "docs-kubernetes-cloud",
            "docs-languages",
            "docs-microsoft",
            "docs-python-libs",
            "docs-tools-security",
            "docs-us-gov",
            "docs-web",
            "interview-faq",
            "medquad",
            "nq-dev-oracle",
            "openstax-exercises",
            "openstax-sections",
            "qed-nq-dev",
            "qnli-labeled",
            "recipes",
            "selqa-devtest",
            "squad-train-part",
            "stackexchange-small-sites",
            "tydiqa-en",
            "wikiqa-train",
        )
    ),
)
SEEN_AFTERWARDS = ("scifact", "nfcorpus", "wikiqa", "dbpedia-50", "cranfield")
STAGES = ("runoff-mini", "LateInteraction")  # a class that does not exist is left out
BLENDS = (0.25, 0.5, 0.75, 1.0)
WINDOWS = (20, 50, 100)
DEPTH, WINDOW = 100, 50
_MEASURE = "nDCG@10"
_BOTH = ("bm25", "dense")
_QUICK = 5
_ENCODED = 64  # documents given to a token store at once
_CACHED = 4_000_000_000  # bytes of pair scores

_Values = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class _Row:
    """One system: what to replay; a fusion of None is the pipeline's default."""

    sources: tuple[str, ...]
    fusion: Fusion | None
    stage: str = ""
    window: int = 0
    blend: float | None = None

    @property
    def name(self) -> str:
        if len(self.sources) == 1:
            return {"bm25": "BM25", "dense": "dense"}[self.sources[0]] + " alone"
        if isinstance(self.fusion, RRF):
            return "RRF"
        if self.fusion is None:
            if not self.stage:
                return "default"
            return f"default + {self.stage}, blend {self.blend:g}, window {self.window}"
        weights = self.fusion.weights if isinstance(self.fusion, Convex) else None
        return "z-score" if weights is None else f"z-score, dense {weights['dense']:g}"

    @property
    def simple(self) -> bool:
        return self.fusion is not None and getattr(self.fusion, "weights", None) is None

    def setting(self, default: Fusion) -> Setting:
        fusion = default if self.fusion is None else self.fusion
        return Setting(self.sources, fusion, DEPTH, self.window, self.blend)


def run(options: Options) -> Report:
    """Record and replay every collection, and return both tables and the differences."""
    stages = [one for one in options.stages or STAGES if options.stages or _exists(one)]
    rows = _rows(stages)
    limit = _QUICK if options.quick else options.queries
    chosen: dict[str, _Values] = {}
    afterwards: dict[str, _Values] = {}
    notes: list[str] = []
    for given in options.collections or (*CHOSEN_ON, *SEEN_AFTERWARDS):
        name, _, split = given.partition(":")
        try:
            collection = Collection.load(name, limit, split or "test")
        except Skipped as missing:
            notes.append(f"skipped {given}: {missing}")
            continue
        part = afterwards if split in ("", "test") else chosen
        part[f"{given} ({len(collection.qrels)})"] = _measured(collection, split, stages, rows)
    if not chosen and not afterwards:
        raise Skipped("; ".join(notes))
    tables = []
    if chosen:
        tables.append(_means("Chosen on train and dev queries", rows, chosen))
    if afterwards:
        tables.append(
            _means("Seen afterwards: test queries, which chose nothing", rows, afterwards)
        )
        tables.append(_against(rows, afterwards))
    return Report(tables, notes=notes)


def _exists(stage: str) -> bool:
    return not stage[:1].isupper() or stage.partition(":")[0] in runoff.rerank.__all__


def _rows(stages: Sequence[str]) -> list[_Row]:
    score = Convex(normalizer="zscore")
    rows = [_Row((one,), score) for one in _BOTH]
    rows += [_Row(_BOTH, RRF()), _Row(_BOTH, score)]
    for dense in (0.3, 0.7):
        weights = {"bm25": round(1 - dense, 2), "dense": dense}
        rows.append(_Row(_BOTH, Convex(weights, normalizer="zscore")))
    rows.append(_Row(_BOTH, None))
    for stage in stages:
        rows += [_Row(_BOTH, None, stage, WINDOW, blend) for blend in BLENDS]
        rows += [_Row(_BOTH, None, stage, window, 0.5) for window in WINDOWS if window != WINDOW]
    return rows


def _measured(
    collection: Collection, split: str, stages: Sequence[str], rows: Sequence[_Row]
) -> _Values:
    """Return the measure of every query by the name of the system."""
    name = f"{collection.name}-{split or 'test'}-{len(collection.qrels)}"
    found = sources(collection, DEPTH)
    folder = cache_root() / "defaults"
    folder.mkdir(exist_ok=True)
    default = TwoStage(found).fusion
    fused = hashlib.sha256(repr(default).encode()).hexdigest()[:8]
    values: _Values = {}
    for stage in ("", *stages):
        say(f"{name}: {stage or 'first stage'}")
        second = _second(stage, collection, folder / "tokens")
        recording: Recording = record(
            TwoStage(found, reranker=second, depth=DEPTH, window=WINDOW),
            collection,
            DEPTH,
            window=max(WINDOWS),
            path=folder / f"{name}-{stage.replace('/', '_') or 'recall'}-{fused}",
        )
        answers = Answers(recording, list(collection.queries))
        for row in rows:
            if row.stage == stage:
                setting = row.setting(default)
                orders = {one: list(it) for one, it in answers.to(setting, 10).items()}
                values[row.name] = measured(orders, collection, [_MEASURE])[_MEASURE]
    return values


def _second(stage: str, collection: Collection, tokens: Path) -> Any:  # noqa: ANN401 - what `TwoStage` takes
    """Return a second stage by its name; with `:idf`, its token store has seen all documents.

    Query tokens count as the model has learned, as without a store, unless the name ends in `:idf`
    or `:equal`. Pair scores are kept, so that another fusion costs only the pairs it adds.
    """
    if not stage:
        return None
    if not stage[:1].isupper():
        scores = DiskCache(tokens.parent / "scores.sqlite", max_bytes=_CACHED)
        return Pointwise(CrossEncoder(stage), cache=scores)
    kind, _, weights = stage.partition(":")
    made = getattr(runoff.rerank, kind)()
    if "store" in {one.name for one in dataclasses.fields(made)}:
        made = dataclasses.replace(made, store=tokens / collection.name, weights=weights or "auto")
        if weights == "idf":  # which counts the documents in the store
            texts = [one.text for one in collection.documents]
            for at in range(0, len(texts), _ENCODED):
                made.score([("every document", text) for text in texts[at : at + _ENCODED]])
    return made


def _means(title: str, rows: Sequence[_Row], found: Mapping[str, _Values]) -> Table:
    lines = []
    for row in rows:
        means = [mean(values[row.name]) for values in found.values()]
        lines.append((row.name, sum(means) / len(means), *means))
    return Table(
        f"{title}: {_MEASURE}",
        ("system", "mean", *found),
        lines,
        f"Depth {DEPTH}. In brackets: judged queries. Second stages read the fused order of the "
        "default fusion.",
    )


def _against(rows: Sequence[_Row], found: Mapping[str, _Values]) -> Table:
    """Compare every system with the best simple one of each collection."""
    best: dict[str, str] = {}
    for name, values in found.items():
        best[name] = max(
            (row.name for row in rows if row.simple), key=lambda one: mean(values[one])
        )
    lines = []
    for row in rows:
        cells = []
        for name, values in found.items():
            one = bootstrap(values[row.name], values[best[name]])
            same = row.name == best[name]
            cells.append("best" if same else f"{one.mean:+.3f} ({one.low:+.3f} to {one.high:+.3f})")
        lines.append((row.name, *cells))
    return Table(
        f"{_MEASURE} minus that of the best simple system, test queries",
        ("system", *found),
        lines,
        "The best of the sources alone, RRF and z-score with equal weights, on these very queries. "
        "95% percentile bootstrap over queries, 10,000 resamples.",
    )
