"""What `health` looks at, `Observation`s of answers, and what it returns, `Finding`s."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from runoff._recording.recording import Recording
from runoff._recording.replay import plan_replay, traversals
from runoff._util.display import html_by, pretty
from runoff._util.messages import number_of, visible
from runoff.errors import InvalidArgument
from runoff.trace import FateKind, Scoring, Trace
from runoff.types import Response

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from runoff._recording.traverse import Traversal
    from runoff.scores import ScoreKind
    from runoff.types import Outcome

_TOP = 3  # results whose texts are looked at
_TEN = 10  # hits of a source that signals are taken from

SIGNALS = {
    "drift first stage": (
        "what the sources found",
        "looking for lost documents, a changed index or analyzer, or another embedding model",
    ),
    "drift ranks": (
        "the places that answers had before the second stage",
        "comparing window, blend and threshold, and the versions of the model",
    ),
}
"""Check to what it looks at, in words, and what to try."""


@dataclass(frozen=True, slots=True)
class Promoted:
    """A result that fusion alone would not have returned, with its fused place and sources."""

    place: int
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """One answer.

    Attributes:
        query: the question; empty if unknown.
        read: the lowest fused place that the second stage ordered, from 1; 0 for none.
        place: int64, the fused place of each candidate that the last stage scored, from 1.
        score: float64, the last stage's own score of each.
        truncated: bool, whether each lost text.
        kind: the scale of the scores.
        model: the model's name.
        answer: document ids returned.
        first: the document that fusion ranks first; empty without candidates.
        promoted: the results that fusion alone would not have returned.
        top: fused place and text of those of the first three results that the second stage
            ordered; a text is None if it was not kept.
        degraded: what the answer lacks, each as stage, source and reason.
        sources: each source's document ids and scores, best first.
        answer_place: int64, the fused place of each of `answer`, from 1.
        answer_score: float64, the last stage's own score of each of `answer`; NaN without one.
    """

    query: str
    read: int
    place: NDArray[np.int64]
    score: NDArray[np.float64]
    truncated: NDArray[np.bool_]
    kind: ScoreKind
    model: str
    answer: tuple[str, ...]
    first: str
    promoted: tuple[Promoted, ...]
    top: tuple[tuple[int, str | None], ...]
    degraded: tuple[str, ...]
    sources: Mapping[str, tuple[tuple[str, ...], NDArray[np.float64]]]
    answer_place: NDArray[np.int64]
    answer_score: NDArray[np.float64]


class Kept(Protocol):
    """An answer that `runoff.live.watch` kept."""

    @property
    def query(self) -> str:
        """The question; empty if it was not kept."""
        ...

    @property
    def outcome(self) -> Outcome:
        """Whether the answer is complete."""
        ...

    @property
    def trace(self) -> Trace:
        """What happened to every candidate."""
        ...


Answer: TypeAlias = Response | Trace | Kept


def observations(
    name: str,
    seen: Recording | Iterable[Answer],
    texts: Mapping[str, str] | None = None,
) -> list[Observation]:
    """Return the answers of a recording or of live searches as observations.

    Args:
        name: the argument's name, for messages.
        seen: the recording or the answers.
        texts: document id to text, for a recording without texts.

    Raises:
        InvalidArgument: it is neither, or has no answer.
    """
    if isinstance(seen, Recording):
        found = list(_recorded(seen, texts or {}))
    else:
        remedy = "must be a recording, or responses, traces or observations"
        if isinstance(seen, Response | Trace):
            seen = [seen]
        try:
            given: Iterator[object] = iter(seen)
        except TypeError:
            raise InvalidArgument(name, seen, remedy) from None
        found = []
        for one in given:  # one at a time, since each is large
            own = getattr(type(one), "trace", None)  # a method, as of an array's numbers, is none
            if not isinstance(one, Response | Trace) and (own is None or callable(own)):
                raise InvalidArgument(name, one, remedy)
            found.append(_live(one))  # type: ignore[arg-type] # as checked
    if not found:
        raise InvalidArgument(name, seen, "must have at least one answer")
    return found


def _recorded(recording: Recording, texts: Mapping[str, str]) -> Iterator[Observation]:
    plan = plan_replay(recording)
    for one in traversals(recording, plan):
        yield _replayed(one, plan.top_k or len(one.answer), plan.depth, texts)


def _replayed(
    one: Traversal, top_k: int, depth: int, known_texts: Mapping[str, str]
) -> Observation:
    query, heads, second = one.query, one.heads, one.unthresholded
    place = np.zeros(len(query), np.int64)
    place[heads] = np.arange(1, len(heads) + 1)
    ordered = heads[:0] if second is None else second.ordered
    scored = ordered if second is None else ordered[np.isfinite(second.score)]
    answer = one.answer[:top_k].tolist()
    reranked = np.isin(one.answer[:top_k], ordered).tolist()
    texts: Sequence[str | None] = query.texts or [*map(known_texts.get, query.doc_ids)]
    step = np.full(len(query), np.nan)
    if len(scored):
        step[scored] = one.scores.steps[-1][scored]
    sources = {}
    for name, origin in query.origins.items():
        rows = np.flatnonzero((origin.rank > 0) & (origin.rank <= depth))
        rows = rows[np.argsort(origin.rank[rows], kind="stable")]
        sources[name] = tuple(query.doc_ids[row] for row in rows.tolist()), origin.score[rows]
    return Observation(
        query=query.text,
        read=int(place[ordered].max(initial=0)),
        place=place[scored],
        score=one.scores.steps[-1][scored] if len(scored) else np.zeros(0),
        truncated=one.scores.truncated[scored],
        kind=one.scores.kind,
        model=one.scores.model.name,
        answer=tuple(query.doc_ids[row] for row in answer),
        first=query.doc_ids[int(heads[0])] if len(heads) else "",
        promoted=tuple(
            Promoted(
                int(place[row]),
                tuple(name for name, ranks in query.ranks.items() if 0 < ranks[row] <= depth),
            )
            for row, own in zip(answer, reranked, strict=True)
            if own and place[row] > top_k
        ),
        top=tuple(
            (int(place[row]), texts[row])
            for row, own in zip(answer[:_TOP], reranked, strict=False)
            if own
        ),
        degraded=tuple(f"{d.stage} {d.source} {d.reason}".strip() for d in query.outcome.degraded),
        sources=sources,
        answer_place=place[answer],
        answer_score=step[answer],
    )


def _live(one: Answer) -> Observation:
    trace = one if isinstance(one, Trace) else one.trace
    whole = [fate for fate in trace.fates if fate.kind is not FateKind.GROUPED]
    heads = sorted(whole, key=lambda fate: fate.candidate.fusion_rank)
    place = {fate.candidate.key: at for at, fate in enumerate(heads, 1)}
    scores = [
        (fate, fate.rerank_score if fate.pair_score is None else fate.pair_score)
        for fate in heads
        # without a rerank_score, an earlier stage of a cascade placed it
        if fate.rerank_score is not None or fate.kind is FateKind.DROPPED
    ]
    scored = [(fate, score) for fate, score in scores if score is not None]
    answer = sorted(
        (fate for fate in whole if fate.kind is FateKind.RETURNED), key=lambda fate: fate.rank or 0
    )
    reranked = [fate for fate in answer if fate.scoring is Scoring.RERANKED]
    if isinstance(one, Trace):
        query, degraded = "", [f"{s.stage} {s.source}: {s.error}" for s in trace.stages if s.error]
    else:
        query = one.query.text if isinstance(one, Response) else one.query
        degraded = [f"{d.stage} {d.source} {d.reason}".strip() for d in one.outcome.degraded]
    own = {fate.candidate.key: score for fate, score in scored}
    return Observation(
        query=query,
        read=max(
            (place[fate.candidate.key] for fate in heads if fate.scoring is Scoring.RERANKED),
            default=0,
        ),
        place=np.array([place[fate.candidate.key] for fate, _ in scored], np.int64),
        score=np.array([score for _, score in scored], np.float64),
        truncated=np.array([fate.truncated for fate, _ in scored], np.bool_),
        kind=trace.kind,
        model=trace.model.name,
        answer=tuple(fate.candidate.document.doc_id for fate in answer),
        first=heads[0].candidate.document.doc_id if heads else "",
        promoted=tuple(
            Promoted(
                place[fate.candidate.key],
                tuple(placed.source for placed in fate.candidate.placements),
            )
            for fate in reranked
            if place[fate.candidate.key] > trace.top_k
        ),
        top=tuple(
            (place[fate.candidate.key], fate.candidate.document.text or None)
            for fate in answer[:_TOP]
            if fate.scoring is Scoring.RERANKED
        ),
        degraded=tuple(degraded),
        sources=_placed(trace),
        answer_place=np.array([place[fate.candidate.key] for fate in answer], np.int64),
        answer_score=np.array([own.get(one.candidate.key, np.nan) for one in answer], np.float64),
    )


def _placed(trace: Trace) -> dict[str, tuple[tuple[str, ...], NDArray[np.float64]]]:
    """Return each source's document ids and scores, best first."""
    found: dict[str, list[tuple[int, str, float]]] = {}
    for fate in trace.fates:
        for at in fate.candidate.placements:
            row = (at.rank, fate.candidate.document.doc_id, at.score)
            found.setdefault(at.source, []).append(row)
    return {
        name: (tuple(doc_id for _, doc_id, _ in rows), np.array([score for *_, score in rows]))
        for name, rows in ((name, sorted(rows)) for name, rows in found.items())
    }


def signals(one: Observation) -> dict[tuple[str, str], float]:
    """Return check and name of each signal to its value.

    Of each source: the score of its best hit, the mean of the first ten, and how many hits there
    are. Of several: how many of the first ten they share. Of the answer: the fused
    places of its documents and of the first, and how far its order is that of the scores.
    """
    found: dict[tuple[str, str], float] = {}
    first, ranks = SIGNALS
    for name, (_, scores) in one.sources.items():
        found[first, f"hits of {name}"] = len(scores)
        if len(scores):
            found[first, f"best score of {name}"] = float(scores[0])
            found[first, f"mean of ten scores of {name}"] = float(scores[:_TEN].mean())
    tops = [set(ids[:_TEN]) for ids, _ in one.sources.values()]
    shared = [len(a & b) / max(1, min(len(a), len(b))) for a, b in combinations(tops, 2)]
    if shared:
        found[first, "agreement of the sources"] = sum(shared) / len(shared)
    place, score = one.answer_place, one.answer_score
    if len(place):
        found[ranks, "place of the first"] = float(np.log2(place[0]))
        found[ranks, "places of all"] = float(np.log2(place).mean())
    known = np.isfinite(score)
    if known.sum() > 2 and np.ptp(score[known]) > 0:  # noqa: PLR2004 - two ranks always agree or not
        falling = np.argsort(-score[known], kind="stable")
        many = len(falling)
        apart = int(((falling - np.arange(many)) ** 2).sum())
        found[ranks, "order by score"] = 1 - 6 * apart / (many * (many**2 - 1))  # Spearman's rho
    return found


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        check: its name, such as `"truncation"`.
        figure: the number that decides; None if there is nothing to check.
        odd: whether it is worth acting on; None if there is nothing to check.
        sentence: what was found.
        advice: what to try; empty unless it is odd.
    """

    check: str
    figure: float | None
    odd: bool | None
    sentence: str
    advice: str = ""

    def __str__(self) -> str:
        """Return the finding in one line."""
        return self._line(0)

    def _line(self, width: int) -> str:
        mark = {True: "look", False: "fine", None: "none"}[self.odd]
        advice = f" Try: {self.advice}" if self.advice else ""
        return visible(f"{mark}  {self.check:<{width}} {self.sentence}{advice}")


def finding_lines(findings: Sequence[Finding]) -> list[str]:
    """Return a line for each finding, with their sentences below one another."""
    width = max([12, *(len(one.check) for one in findings)])
    return [one._line(width) for one in findings]  # noqa: SLF001 - of the class above


@dataclass(frozen=True, slots=True, repr=False)
class Health:
    """What is odd about a second stage.

    Attributes:
        queries: how many answers were checked.
        findings: the result of every check, the odd ones first.
    """

    queries: int
    findings: tuple[Finding, ...]

    @property
    def odd(self) -> tuple[Finding, ...]:
        """The findings that are worth acting on."""
        return tuple(one for one in self.findings if one.odd)

    def __getitem__(self, check: str) -> Finding:
        """Return the finding of one check.

        Raises:
            KeyError: there is no such check.
        """
        for one in self.findings:
            if one.check == check:
                return one
        raise KeyError(check)

    def __repr__(self) -> str:
        """Show which checks are odd; `str` has the sentences."""
        names = ", ".join(one.check for one in self.odd) or "nothing odd"
        return f"Health({number_of(self.queries, 'query')}: {names})"

    def __str__(self) -> str:
        """Return one line for each finding."""
        return visible("\n".join([number_of(self.queries, "query"), *finding_lines(self.findings)]))

    _repr_pretty_ = pretty

    _repr_html_ = html_by("health_html")

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        return {"queries": self.queries, "findings": [asdict(one) for one in self.findings]}
