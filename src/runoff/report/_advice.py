"""All findings about a recording on one page: what to do next, verdict, losses, window, health."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from runoff._labels.remarks import check_judged, check_recorded, check_recording, degraded
from runoff._recording.runs import by_stage
from runoff._util.arguments import check_list
from runoff._util.display import html_by
from runoff._util.messages import number_of, visible
from runoff._util.text import snippet
from runoff.evaluation._curve import curve
from runoff.evaluation._health.health import health
from runoff.evaluation._losses import losses
from runoff.evaluation._measures.measures import MEASURES
from runoff.evaluation._verdict.rivals import contest
from runoff.report._answer import answer_of, nothing_judged
from runoff.report._evaluated import evaluated
from runoff.report._text import columns, curve_text, folded, verdict_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from runoff._labels.collection import Collection
    from runoff._recording.recording import Recording
    from runoff.evaluation._curve import Curve
    from runoff.evaluation._health.observations import Health
    from runoff.evaluation._ledger import Ledger
    from runoff.evaluation._tune import Tuning
    from runoff.evaluation._verdict.bounds import Unjudged
    from runoff.evaluation._verdict.pairing import Slicing
    from runoff.evaluation._verdict.result import Verdict
    from runoff.report._answer import Answer
    from runoff.report._evaluated import Evaluated

_Noted = TypeVar("_Noted", "Ledger", "Curve")

_MOVES = 3
_MANY = 1000  # more queries than anybody judges by hand
_GAIN = 0.0005  # a smaller gain would be shown as 0.000
_HINTS = {
    "a better first stage": "embeddings beside BM25, a better embedding model, or smaller chunks",
    "another fusion or other weights": "`tune` tries them on this recording",
    "a better reranker": "`replay(reranker=...)` compares one on this recording",
}


@dataclass(frozen=True, slots=True, repr=False)
class Advice:
    """What is found in one recording.

    Attributes:
        evaluated: the measures after every stage, and the verdict on the second stage.
        ledger: where quality is lost.
        curve: quality against the window; None without a second stage.
        health: what is odd about the second stage, found without judgments; None without one.
        tuning: which settings to run; None unless given to `advise`.
    """

    evaluated: Evaluated
    ledger: Ledger
    curve: Curve | None
    health: Health | None
    tuning: Tuning | None = None

    @property
    def next_steps(self) -> tuple[str, ...]:
        """What to do next, as sentences, the most urgent first."""
        return _next_steps(self.evaluated, self.ledger, self.curve, self.health)

    @property
    def answer(self) -> Answer:
        """The answer in one sentence, and the three figures it rests on."""
        return answer_of(self.evaluated)

    def sections(self) -> dict[str, str]:
        """Return the page as heading to text, wrapped at 80 characters except in tables."""
        found = self.evaluated
        queries = len(self.ledger.queries)
        answer = self.answer
        lines = [folded(answer.sentence, 0)]
        lines += [folded(f"- {one.name}: {one.value} ({one.note})", 2) for one in answer.figures]
        made = {"ANSWER": "\n".join(lines)}
        if steps := self.next_steps:
            made["NEXT STEPS"] = "\n".join(
                folded(f"{rank}. {snippet(one, 1000)}", 3) for rank, one in enumerate(steps, 1)
            )
        title = f"{snippet(found.collection, 100)}: {number_of(queries, 'judged query')}"
        made[title] = columns(found.rows())
        if found.verdict is not None and found.compared is not None:
            before, after = found.compared
            made[f"VERDICT, {after} against {before}"] = verdict_text(found.verdict)
        made["LOSSES"] = folded(str(self.ledger))
        if self.curve is not None:
            made["WINDOW"] = curve_text(self.curve)
        if self.tuning is not None:
            made["SETTINGS"] = folded(str(self.tuning))
        if self.health is not None:
            made["HEALTH"] = folded(str(self.health), 19)
        if remarks := found.remarks(beside_verdict=True):
            made["NOTES"] = folded("\n".join(snippet(one, 1000) for one in remarks))
        return made

    _repr_html_ = html_by("columns_html", "_notebook")

    def __repr__(self) -> str:
        """Show the answer; `str` has the rest."""
        return f"Advice({self.answer.sentence})"

    def __str__(self) -> str:
        """Return the page as text."""
        return visible(
            "\n\n".join(f"{heading}\n{text}" for heading, text in self.sections().items())
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        answer = self.answer
        return self.evaluated.to_dict() | {
            "answer": answer.sentence,
            "figures": [one._asdict() for one in answer.figures],
            "next_steps": list(self.next_steps),
            "losses": self.ledger.to_dict(),
            "window": None if self.curve is None else self.curve.to_dict(),
            "settings": None if self.tuning is None else self.tuning.to_dict(),
            "health": None if self.health is None else self.health.to_dict(),
        }


def advise(  # noqa: PLR0913 - every setting has a default
    recording: Recording,
    collection: Collection,
    *,
    measures: Iterable[object] = MEASURES,
    slices: Mapping[str, Slicing] | None = None,
    tuning: Tuning | None = None,
    texts: Mapping[str, str] | None = None,
    unjudged: float | None = None,
    bound: float | None = None,
    reference: Recording | None = None,
    repeats: Sequence[Recording] = (),
) -> Advice:
    """Find out what each stage of a recorded system is worth and what to do next.

    Args:
        recording: what `record` made.
        collection: judges its queries.
        measures: names from ir-measures; the first decides the verdict.
        slices: slices of the queries for the verdict.
        tuning: what `tune` returned, to include it.
        texts: document id to text, to find phantom hits where the recording kept no texts; None
            uses the collection's documents.
        unjudged: the highest chance that a result without a judgment is relevant, as `verdict`
            takes it.
        bound: of "no effect", as `verdict` takes it; None takes its default.
        reference: an older recording, to find what has changed since, as `health` does.
        repeats: further runs of the reference.

    Raises:
        InvalidArgument: a judged query was not recorded, or a measure is unknown.
        MissingExtra: ir-measures is not installed.
    """
    check_recording(recording)
    check_judged(collection)
    if not isinstance(measures, str):
        check_list("measures", measures, "measures")
    asked = [measures] if isinstance(measures, str) else list(measures)
    staged = bool(recording.setup.steps)
    check_recorded(recording, collection)
    found = evaluated(
        collection,
        {} if staged else by_stage(recording),
        None,
        measures=asked,
        slices=slices,
        notes=degraded(recording),
        unjudged=unjudged,
        bound=bound,
        found=contest(recording, collection, asked) if staged else None,
    )
    ledger = _own(losses(recording, collection), collection)
    if not staged:
        return Advice(found, ledger, None, None, tuning)
    if texts is None and collection.documents is not None:
        texts = {doc_id: one.text for doc_id, one in collection.documents.items()}
    odd = health(recording, texts=texts, reference=reference, repeats=repeats)
    window = _own(curve(recording, collection), collection)
    return Advice(found, ledger, window, odd, tuning)


def _own(found: _Noted, collection: Collection) -> _Noted:
    """Return a finding without the collection's notes, which the page has once."""
    notes = tuple(note for note in found.notes if note not in collection.notes)
    return replace(found, notes=notes)


def _next_steps(
    found: Evaluated, ledger: Ledger, curve: Curve | None, health: Health | None
) -> tuple[str, ...]:
    """Return what to do next as sentences, the most urgent first.

    Where no result is judged, the figures mean nothing and the only step is to check the ids.
    """
    if nothing_judged(found.measured):
        step = (
            "Check the ids first: none of the results is a judged document, so the figures below "
            "mean nothing. The notes show an id of each kind."
        )
        return (step,)
    odd = () if health is None else health.odd
    broken = {"degraded", "kind", "constant"}  # the rest means little until these are fixed
    said = {one.check: f"{one.sentence} Try {one.advice}." for one in odd}
    doubt = None
    if found.verdict is not None and not found.verdict.caveat:  # else no judgment would settle it
        doubt = found.verdict.unjudged
    if doubt is not None and doubt.decides:  # and so does what the window or the fusion is worth
        return (
            *(sentence for check, sentence in said.items() if check in broken),
            _judging(doubt),
            *(sentence for check, sentence in said.items() if check not in broken),
        )
    return (
        *(sentence for check, sentence in said.items() if check in broken),
        *(() if found.verdict is None else _verdict(found.verdict)),
        *_first_stage(found.verdict),
        *(() if curve is None else _window(curve)),
        *_without(found.verdict, ledger, curve),
        *_moves(ledger),
        *(sentence for check, sentence in said.items() if check not in broken),
    )


def _verdict(found: Verdict) -> Iterator[str]:
    main = found.main
    figure = f"{main.measure} {main.difference:+.3f} on {number_of(main.queries, 'query')}"
    kept, removed = (
        " and ".join(map("=".join, slices)) for slices in (found.keep_for, found.remove_for)
    )
    if found.caveat:
        yield (
            f"Have some queries judged by people: the judgments are {found.caveat}, which prove "
            f"neither that the second stage helps nor that it does harm ({figure})."
        )
    elif found.decision == "keep":
        yield f"Keep the second stage: it is proven to help ({figure})."
    elif found.decision == "remove":
        yield f"Remove the second stage or try another one: it is proven to do harm ({figure})."
    elif found.decision == "keep for these slices":
        harm = f", and leave it out for {removed}, where it is proven to do harm" if removed else ""
        yield f"Use the second stage for {kept or 'the other queries'}{harm}."
    elif found.decision == "no effect":
        yield (
            f"Remove the second stage or try another one: its effect is proven to be at most "
            f"{found.bound:g} ({figure})."
        )
    elif found.more_queries is not None and found.more_queries[0] > _MANY:
        yield (
            f"Let latency and cost decide about the second stage: its effect ({figure}) is so "
            f"small that proving it would take at least {found.more_queries[0]:,} more judged "
            "queries."
        )
    else:
        many = "" if found.more_queries is None else "{:,} to {:,} ".format(*found.more_queries)
        yield (
            f"Judge {many}more queries: these prove neither that the second stage helps nor that "
            f"it does harm ({figure})."
        )
    if found.decision == "undecided" and removed:
        yield f"Leave the second stage out for {removed}: it is proven to do harm there."


def _judging(found: Unjudged) -> str:
    first = found.judge[0]
    return (
        f"Judge these documents first: {number_of(found.documents, 'result')} of "
        f"{number_of(found.queries, 'query')} {'was' if found.documents == 1 else 'were'} "
        f"never judged, and the answer depends on them. Begin with {first.doc_id!r} for "
        f"{found.texts.get(first.query_id, first.query_id)!r}; `unjudged.to_csv`, or `--judge` on "
        "the command line, writes them all in the order that decides most."
    )


def _first_stage(found: Verdict | None) -> Iterator[str]:
    """Yield the first stage that does better than the fused order, if there is one."""
    if found is None or not found.rivals or not found.rivals[0].setting:
        return
    best, fused = found.rivals[0], found.rivals[-1]
    if best.value - fused.value >= _GAIN and best.name != fused.name:
        yield (
            f"Try another first stage, {best.setting}: on queries that it was not chosen on it "
            f"has {found.main.measure} {best.value:.3f} without a second stage, the order in use "
            f"{fused.value:.3f}."
        )


def _without(found: Verdict | None, ledger: Ledger, curve: Curve | None) -> Iterator[str]:
    """Yield the advice to try no second stage, unless the verdict says so already."""
    if found is None or curve is None or found.decision in {"remove", "no effect"}:
        return
    gains = [one.brings for one in ledger.moves if one.action.startswith("no second stage")]
    gain = max((one for one in gains if one is not None), default=0.0)
    points = {one.window: one for one in curve.points}
    old, new = points.get(curve.configured), points[0]
    if old is None or (curve.recommended and gain < _GAIN):
        return
    yield (
        f"Try it without the second stage (window 0): {curve.measures[0]} changes by "
        f"{-old.gain:+.3f} against the order in use, not proven either way, and the p95 of a "
        f"search is {new.p95_ms:.0f} ms instead of {old.p95_ms:.0f} ms."
    )


def _window(found: Curve) -> Iterator[str]:
    first = found.measures[0]
    # not window 0, which `_without` is about
    points = {one.window: one for one in found.points if one.window}
    old, new = points.get(found.configured), points.get(found.recommended)
    if old is not None and new is not None and old is not new:
        change = new.values[first] - old.values[first]
        yield (
            f"Set the window to {new.window} instead of {old.window}: {first} changes by "
            f"{change:+.3f}, and the p95 of a search is {new.p95_ms:.0f} ms instead of "
            f"{old.p95_ms:.0f} ms."
        )
    if found.shape == "still rises":
        yield f"Record a window wider than {found.points[-1].window}: {first} still rises there."


def _moves(ledger: Ledger) -> Iterator[str]:
    worth = [
        move
        for move in ledger.moves
        if (move.at_most if move.brings is None else move.brings) >= _GAIN
        # said already, with the window
        and not move.action.startswith(("no second stage", "a window"))
    ]
    for move in worth[:_MOVES]:
        hint = f" ({_HINTS[move.action]})" if move.action in _HINTS else ""
        gain = (
            f"could gain up to {move.at_most:.3f} {ledger.measure}"
            if move.brings is None
            else f"gains {move.brings:.3f} {ledger.measure} on these queries"
        )
        yield f"Try {move.action}{hint}: it {gain} ({move.loss:.3f} is lost there now)."
