"""What a second stage changes, found without judgments: how often, how much, and examples."""

from __future__ import annotations

import html
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff._labels.remarks import degraded
from runoff._recording.runs import FUSED, RERANKED, by_stage
from runoff._util.messages import number_of, visible
from runoff._util.stored import path_of
from runoff._util.text import given_id, snippet
from runoff._util.whole import write_table
from runoff.errors import InvalidArgument
from runoff.evaluation._health.health import health
from runoff.report import _figures as figures
from runoff.report._answer import Answer, Figure
from runoff.report._notebook import table_html
from runoff.report._text import columns, folded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike

    from runoff._recording.recording import Recording
    from runoff.evaluation._health.observations import Health
    from runoff.evaluation._measures.measures import Run

_CUTOFF = 10
_EXAMPLES = 10
_TO_JUDGE = 50  # queries, drawn at random
_HEAD = ("query_id", "query", "doc_id", "grade", "text")


@dataclass(frozen=True, slots=True)
class Overlap:
    """How far two orders of the same queries agree within the first 10 results.

    Attributes:
        before: the name of the first.
        after: the name of the second.
        same: share of the queries with the same results in the same order.
        first: share of the queries whose first result differs.
        replaced: mean number of results that the second does not have.
    """

    before: str
    after: str
    same: float
    first: float
    replaced: float


@dataclass(frozen=True, slots=True)
class Example:
    """A query whose first result the second stage changed.

    Attributes:
        query_id: of the query.
        query: its text.
        old: the document that was first.
        new: the document that is first now.
        rank: where `new` stood before, from 1.
        texts: the texts of `old` and `new`; empty if they were not recorded.
    """

    query_id: str
    query: str
    old: str
    new: str
    rank: int
    texts: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Changed:
    """What can be said of a recording without judgments.

    Attributes:
        queries: how many.
        overlaps: the second stage against the first, then the fused order against each source.
        examples: queries whose first result came from furthest below.
        health: what is odd about the second stage; None without one.
        spans: stage to its median and 95th percentile in milliseconds.
        judge: rows to judge, with the headings first: for up to 50 queries drawn at random, the
            results of both orders, those that only one of them has first.
        notes: caveats, as sentences.
    """

    queries: int
    overlaps: tuple[Overlap, ...]
    examples: tuple[Example, ...]
    health: Health | None
    spans: Mapping[str, tuple[float, float]]
    judge: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    @property
    def answer(self) -> Answer:
        """The answer in one sentence, and the figures it rests on."""
        whole = figures.ms(self.spans["whole search"][0])
        spent = Figure("time of a search", f"{whole} ms", "median, as recorded")
        if not self.overlaps:
            sentence = (
                f"One source alone answers {number_of(self.queries, 'question')}, so nothing "
                "changes its order."
            )
            return Answer(sentence, (spent,))
        one = self.overlaps[0]
        what = "The second stage" if one.after == RERANKED else "Fusion"
        return Answer(
            f"{what} changes the first result of {one.first:.0%} of "
            f"{number_of(self.queries, 'question')} and "
            f"replaces {one.replaced:.1f} of the first {_CUTOFF}; only judgments can tell whether "
            "that is better.",
            (
                Figure(
                    "another first result", f"{one.first:.0%}", f"{one.after} against {one.before}"
                ),
                Figure(
                    f"replaced of the first {_CUTOFF}",
                    f"{one.replaced:.1f}",
                    f"{one.same:.0%} of the questions keep all results in order",
                ),
                spent,
            ),
        )

    @property
    def next_steps(self) -> tuple[str, ...]:
        """What to do next, as sentences, the most urgent first."""
        odd = () if self.health is None else self.health.odd
        steps = [f"{one.sentence} Try {one.advice}." for one in odd]
        if self.overlaps:
            drawn = len({row[0] for row in self.judge[1:]})
            steps.append(
                f"Judge {number_of(len(self.judge) - 1, 'result')} of "
                f"{number_of(drawn, 'question')} drawn at random: "
                "`to_csv`, or `--judge` on the command line, writes them to a table; fill in the "
                "column grade (0 for not relevant, 1 for relevant) and evaluate with that table."
            )
        return tuple(steps)

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Write the rows to judge to a table that `Collection.from_csv` reads.

        Raises:
            OSError: the file cannot be written.
        """
        write_table(path_of("path", path), self.judge)

    def rows(self) -> list[tuple[str, ...]]:
        """Return headings and one row for each pair of orders."""
        head = ("order", "against", "same order", "other first", f"replaced of {_CUTOFF}")
        return [
            head,
            *(
                (
                    one.after,
                    one.before,
                    f"{one.same:.0%}",
                    f"{one.first:.0%}",
                    f"{one.replaced:.2f}",
                )
                for one in self.overlaps
            ),
        ]

    def example_rows(self) -> list[tuple[str, ...]]:
        """Return headings and one row for each example."""
        head = ("question", "first before", "first now", "stood at")
        return [
            head,
            *(
                (
                    snippet(one.query, 100),
                    snippet(f"{one.old} {one.texts[0]}".strip(), 140),
                    snippet(f"{one.new} {one.texts[1]}".strip(), 140),
                    str(one.rank),
                )
                for one in self.examples
            ),
        ]

    def sections(self) -> dict[str, str]:
        """Return the page as heading to text, wrapped at 80 characters except in tables."""
        answer = self.answer
        lines = [folded(answer.sentence, 0)]
        lines += [folded(f"- {one.name}: {one.value} ({one.note})", 2) for one in answer.figures]
        made = {"ANSWER": "\n".join(lines)}
        if self.next_steps:
            made["NEXT STEPS"] = "\n".join(
                folded(f"{at}. {snippet(one, 1000)}", 3)
                for at, one in enumerate(self.next_steps, 1)
            )
        if self.overlaps:
            made["WHAT CHANGED"] = columns(self.rows())
        if self.examples:
            made["EXAMPLES"] = "\n".join(
                folded(f"{_named(one)}: {one.old} -> {one.new} (was {one.rank})")
                for one in self.examples
            )
        if self.health is not None:
            made["HEALTH"] = folded(str(self.health), 19)
        if self.notes:
            made["NOTES"] = folded("\n".join(self.notes))
        return made

    def __str__(self) -> str:
        """Return the page as text."""
        return visible("\n\n".join(f"{head}\n{text}" for head, text in self.sections().items()))

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        plain = asdict(self)
        plain["answer"] = self.answer.sentence
        plain["next_steps"] = list(self.next_steps)
        plain["health"] = None if self.health is None else self.health.to_dict()
        return plain


def _named(one: Example) -> str:
    name = given_id(one.query_id, one.query)
    return f"{name}: {one.query}" if name else one.query


def changed(
    recording: Recording,
    *,
    texts: Mapping[str, str] | None = None,
    reference: Recording | None = None,
    repeats: Sequence[Recording] = (),
) -> Changed:
    """Return what a recorded system's stages change, how often, and examples.

    Args:
        recording: what `record` returned; it needs no judgments.
        texts: document id to text, where the recording kept no texts.
        reference: an older recording, to find what has changed since, as `health` does.
        repeats: further runs of the reference.

    Raises:
        InvalidArgument: the recording is empty.
    """
    if not len(recording):
        raise InvalidArgument("recording", recording, "must have at least one query")
    runs = by_stage(recording)
    pairs = []
    if RERANKED in runs:
        pairs.append((list(runs)[-2], RERANKED))
    if FUSED in runs and len(recording.setup.sources) > 1:
        pairs += [(name, FUSED) for name in recording.setup.sources]
    known = dict(texts or {})
    queries = {}
    for query in recording:
        queries[query.query_id] = query.text
        known |= dict(zip(query.doc_ids, query.texts, strict=False))
    judge: list[tuple[str, ...]] = [_HEAD]
    examples: tuple[Example, ...] = ()
    if pairs:
        before, after = (runs[name] for name in pairs[0])
        judge += _to_judge(queries, before, after, known)
        examples = _examples(queries, before, after, known)
    odd = None
    if recording.setup.steps:
        odd = health(recording, texts=texts, reference=reference, repeats=repeats)
    return Changed(
        len(recording),
        tuple(_overlap(*names, runs) for names in pairs),
        examples,
        odd,
        {one.name: (one.p50, one.p95) for one in figures.stage_spans(recording)},
        tuple(judge),
        tuple(degraded(recording)),
    )


def changed_sections(found: Changed) -> dict[str, str]:
    """Return the parts of an HTML report below its opening, by their headings."""
    made = {}
    if found.next_steps:
        steps = "".join(f"<li>{html.escape(snippet(one, 1000))}</li>" for one in found.next_steps)
        made["What to do next"] = f"<ol>{steps}</ol>"
    if found.overlaps:
        made["What changed"] = table_html(found.rows())
    if found.examples:
        table = table_html(found.example_rows())
        made["Examples of another first result"] = f'<div class="wrap">{table}</div>'
    return made


def _overlap(before: str, after: str, runs: Mapping[str, Run]) -> Overlap:
    first, second = runs[before], runs[after]
    tops = [(list(first[one])[:_CUTOFF], list(second[one])[:_CUTOFF]) for one in second]
    return Overlap(
        before,
        after,
        float(np.mean([old == new for old, new in tops])),
        float(np.mean([old[:1] != new[:1] for old, new in tops])),
        float(np.mean([len(set(new) - set(old)) for old, new in tops])),
    )


def _examples(
    queries: Mapping[str, str], before: Run, after: Run, texts: Mapping[str, str]
) -> tuple[Example, ...]:
    found = []
    for query_id, text in queries.items():
        old, new = list(before[query_id]), list(after[query_id])
        if old and new and old[0] != new[0]:
            rank = old.index(new[0]) + 1 if new[0] in old else len(old) + 1
            pair = texts.get(old[0], ""), texts.get(new[0], "")
            found.append(Example(query_id, text, old[0], new[0], rank, pair))
    return tuple(sorted(found, key=lambda one: (-one.rank, one.query_id))[:_EXAMPLES])


def _to_judge(
    queries: Mapping[str, str], before: Run, after: Run, texts: Mapping[str, str]
) -> list[tuple[str, ...]]:
    ids: Sequence[str] = sorted(queries)
    drawn = np.random.default_rng(0).permutation(len(ids))[:_TO_JUDGE]
    rows: list[tuple[str, ...]] = []
    for at in sorted(drawn.tolist()):
        query_id = ids[at]
        old, new = (list(run[query_id])[:_CUTOFF] for run in (before, after))
        every = dict.fromkeys([*new, *old])
        only = [one for one in every if (one in old) != (one in new)]
        rows += [
            (query_id, queries[query_id], one, "", texts.get(one, ""))
            for one in dict.fromkeys([*only, *every])
        ]
    return rows
