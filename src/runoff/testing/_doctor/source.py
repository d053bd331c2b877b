"""Checks of a source over the documents that it really has."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from runoff._util.adapters.trend import trend
from runoff._util.messages import number_of
from runoff.errors import FilterNotSupported
from runoff.filters import Eq, Not
from runoff.protocols import AsyncRecallSource
from runoff.testing._doctor.findings import failed, fine, made, nothing, odd
from runoff.types import Query

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff.evaluation._health.observations import Finding
    from runoff.filters import Filter
    from runoff.protocols import RecallSource
    from runoff.types import Document, Hit

_DEEP = 50  # hits asked for to know some documents
_SAMPLE = 6  # documents whose own texts are asked for
_WORDS = 40  # of a text that become a question
_FOUND, _LOST = 0.75, 0.25
_AGREED = 0.8  # of the first hits, for indexes that approximate
_SLOW_MS = 1000.0
_FIELDS = 3
_TEXT_ID = "text:"  # begins an id that runoff made of the text


def examined(source: RecallSource, questions: Sequence[str]) -> tuple[int, list[Finding]]:
    """Return how many questions a source was asked, and the result of every check."""
    probe = _Probe(source)
    try:
        answers = [probe.ask(one) for one in questions]
    except Exception as error:  # noqa: BLE001 - what it raises is the finding
        return 1, [failed(error)]
    if not any(answers):
        return len(questions), [
            odd("found", 0, f"None of {len(questions)} questions finds anything.",
                "questions= in the words and the language of its documents, or filling it first")
        ]  # fmt: skip
    checks = (
        _texts, _ids, _same, _scores, _orientation, _depth, _prefix, _filters, _awaited, _latency,
    )  # fmt: skip
    return len(questions), made(checks, probe)


@dataclass
class _Probe:
    """A source, and what it answered so far.

    Attributes:
        source: the source.
        answers: question to its hits at the largest depth.
    """

    source: RecallSource
    answers: dict[str, list[Hit]] = field(default_factory=dict)

    def ask(self, text: str, depth: int = _DEEP, filters: Filter | None = None) -> list[Hit]:
        """Return the hits of a question; those without a filter at the largest depth are kept."""
        hits = list(self.source.retrieve(Query(text, filters=filters), depth=depth))
        if depth == _DEEP and filters is None:
            self.answers.setdefault(text, hits)
        return hits

    @property
    def question(self) -> str:
        """The question that found most."""
        return max(self.answers, key=lambda one: len(self.answers[one]))

    @property
    def sample(self) -> list[Document]:
        """Documents of several answers, with texts that differ."""
        by_text: dict[str, Document] = {}
        for rank in range(_DEEP):
            for hits in self.answers.values():
                if rank < len(hits) and hits[rank].document.text.strip():
                    by_text.setdefault(_opening(hits[rank].document), hits[rank].document)
        return list(by_text.values())[:_SAMPLE]


def _opening(document: Document) -> str:
    return " ".join(document.text.split()[:_WORDS])


def _ids_of(hits: Sequence[Hit]) -> list[str]:
    return [hit.doc_id for hit in hits]


def _texts(probe: _Probe) -> Finding:
    hits = probe.answers[probe.question]
    blank = sum(not hit.document.text.strip() for hit in hits)
    if not blank:
        return fine("texts", 0, f"All of {number_of(len(hits), 'document')} come back with a text.")
    return odd(
        "texts", blank, f"Of {len(hits)} documents {blank} come back without a text.",
        "the name of the field that holds the text, and whether the store keeps texts at all",
    )  # fmt: skip


def _ids(probe: _Probe) -> Finding:
    hits = probe.answers[probe.question]
    again = list(probe.source.retrieve(Query(probe.question), depth=_DEEP))
    repeated = [name for name, count in Counter(_ids_of(hits)).items() if count > 1]
    if repeated:
        return odd(
            "ids", len(repeated), f"{number_of(len(repeated), 'id occurs', 'ids occur')} twice in "
                "an "
                "answer.",
            "an id for each passage, or removing duplicates where they are written",
        )  # fmt: skip
    known = {hit.document.text: hit.doc_id for hit in hits}
    changed = sum(known.get(hit.document.text, hit.doc_id) != hit.doc_id for hit in again)
    if changed:
        return odd(
            "ids", changed, "Asked again, "
                f"{number_of(changed, 'document has another id', 'documents have other ids')}.",
            "ids that are stored with the documents, or `id_key=`: new ones in every answer cannot "
            "be fused, cached or judged",
        )  # fmt: skip
    if all(one.startswith(_TEXT_ID) for one in _ids_of(hits)):
        return fine("ids", 0, "It gives no ids; documents are told apart by their texts.")
    return fine("ids", 0, "Ids are unique, and the same when asked again.")


def _same(probe: _Probe) -> Finding:
    first = [hit.document.text for hit in probe.answers[probe.question]]
    other = [hit.document.text for hit in probe.ask(probe.question)]
    if first == other:
        return fine("noise", 0, "The same question gets the same answer again.")
    moved = sum(one != two for one, two in zip(first, other, strict=False))
    return odd(
        "noise", moved, "The same question gets another answer when asked again.",
        "an index that is still being built, replicas that differ, or ties in random order",
    )  # fmt: skip


def _scores(probe: _Probe) -> Finding:
    several = [hits for hits in probe.answers.values() if len(hits) > 1]
    scores = [[float(hit.score) for hit in hits] for hits in several]
    if not several or all(math.isnan(one) for row in scores for one in row):
        return nothing("scores", "It gives no scores; its order alone counts.")
    if not all(math.isfinite(one) for row in scores for one in row):
        return odd(
            "scores", 1, "Some scores are not finite.",
            "finite numbers, or NaN for every hit of a source that only ranks",
        )  # fmt: skip
    courses = [trend(row) for row in scores]
    rising = courses.count("rises")
    if rising:
        return odd(
            "scores", rising, "Scores rise along the answer: they are distances.",
            "negating them, or the store's own function from distance to similarity",
        )  # fmt: skip
    if None in courses:
        return odd(
            "scores", courses.count(None), "Hits are not in the order of their scores.",
            "sorting by falling score, or giving NaN if another order is meant",
        )  # fmt: skip
    return fine("scores", 0, "Scores are finite and fall along the answer.")


def _orientation(probe: _Probe) -> Finding:
    sample, places = probe.sample, []
    held = {hit.document.text for hits in probe.answers.values() for hit in hits}
    if len(held) < 4:  # noqa: PLR2004 - chance finds one of three
        return nothing("orientation", "It has too few documents to see which comes first.")
    for document in sample:
        hits = probe.ask(_opening(document))
        texts = [hit.document.text for hit in hits]
        last = max(1, min(_DEEP, len(held)) - 1)
        places.append(texts.index(document.text) / last if document.text in texts else 1.0)
    share = float(np.mean([place <= _LOST for place in places]))
    text = f"Asked for the words of a document, it finds that document early in {share:.0%}"
    if share >= _FOUND:
        return fine("orientation", share, f"{text} of {len(places)} cases.")
    advice = "the embedding model of the query and that of the documents: they must be the same"
    if float(np.mean([place >= _FOUND for place in places])) >= _FOUND:
        advice = "its metric and its sort: it returns the farthest documents first"
    return odd("orientation", share, f"{text} of {len(places)} cases only.", advice)


def _depth(probe: _Probe) -> Finding:
    deep = probe.answers[probe.question]
    held = {hit.document.text for hits in probe.answers.values() for hit in hits}
    most = max(map(len, probe.answers.values()))
    for depth in (1, 3, 10):
        got = len(probe.ask(probe.question, depth))
        if got > depth:
            return odd(
                "depth", got, f"Asked for {depth}, it returns {got}.",
                "passing the depth on as the store's k or limit",
            )  # fmt: skip
        if got < min(depth, len(deep)):
            return odd(
                "depth", got, f"Asked for {depth}, it returns {got}; asked for more, {len(deep)}.",
                "filters and thresholds that apply after the cut",
            )  # fmt: skip
    lengths = {len(hits) for hits in probe.answers.values()}
    capped = len(lengths) == 1 and most < min(_DEEP, len(held))
    if capped and all(len(probe.ask(_opening(one))) == most for one in probe.sample):
        return odd(
            "depth", most,
            f"Asked for {_DEEP}, it returns {most} for every question, although it has more.",
            "passing the depth on as the store's k; hybrid modes often have limits of their own",
        )  # fmt: skip
    return fine(
        "depth", most, f"It returns what it is asked for, up to {number_of(most, 'document')}."
    )


def _prefix(probe: _Probe) -> Finding:
    shares = []
    for question, hits in probe.answers.items():
        few = _ids_of(probe.ask(question, 5))
        if few:
            shares.append(len(set(few) & set(_ids_of(hits[: len(few)]))) / len(few))
    share = float(np.mean(shares))
    text = f"The first 5 are {share:.0%} the same whether 5 or {_DEEP} are asked for"
    if share >= _AGREED:
        return fine("first hits", share, f"{text}.")
    return odd(
        "first hits", share, f"{text}.",
        "a wider search of the index: ef_search, nprobe or num_candidates",
    )  # fmt: skip


def _filters(probe: _Probe) -> Finding:
    conditions, refused = _conditions(probe), 0
    if not conditions:
        return nothing("filters", "Its documents have no metadata with several values.")
    asked = probe.question
    deep = probe.answers[asked]
    for condition in conditions:
        wanted = [hit for hit in deep if condition.matches(hit.document.metadata)]
        try:
            few = probe.ask(asked, 1, condition)
            many = probe.ask(asked, _DEEP, condition)
        except FilterNotSupported:
            refused += 1
            continue
        outside = sum(not condition.matches(hit.document.metadata) for hit in [*few, *many])
        if outside:
            return odd(
                "filters", outside, f"{condition!r} returns {number_of(outside, 'document')} "
                    "outside "
                    "it.",
                "honouring the query's filters, or raising FilterNotSupported",
            )  # fmt: skip
        lost = set(_ids_of(wanted)) - set(_ids_of(many))
        if lost and len(many) < _DEEP:
            return odd(
                "filters", len(lost), f"{condition!r} drops "
                    f"{number_of(len(lost), 'document that passes', 'documents that pass')} it.",
                "the types of values in the store: a number stored as text is not equal to it",
            )  # fmt: skip
        if wanted and not few:
            return odd(
                "filters", 1, f"{condition!r} at depth 1 finds nothing, though documents pass it.",
                "filtering before the cut: the store filters what it has already found",
            )  # fmt: skip
    if refused == len(conditions):
        return fine("filters", 0, "It refuses filters by name.")
    return fine("filters", 0, f"{len(conditions) - refused} filters return what passes them.")


def _conditions(probe: _Probe) -> list[Filter]:
    """Return conditions on fields of the documents that part of them pass."""
    deep = probe.answers[probe.question]
    values: dict[str, Counter[object]] = {}
    for hit in deep:
        for name, value in hit.document.metadata.items():
            if isinstance(value, str | int | float) and len(str(value)) < 100:  # noqa: PLR2004 - a text is no category
                values.setdefault(name, Counter())[value] += 1
    made: list[Filter] = []
    for name, counts in values.items():
        if name.startswith("_"):
            continue  # added by an adapter, such as `_id`: the store has no such field
        rare = [value for value, count in counts.items() if count < len(deep)]
        if rare:
            last = rare[-1]  # the later a value comes first, the more a cut before it would lose
            if isinstance(last, str | int | float) and (last == last):  # noqa: PLR0124 - NaN
                made += [Eq(name, last), Not(Eq(name, last))]
    return made[: 2 * _FIELDS]


def _awaited(probe: _Probe) -> Finding:
    source = probe.source
    if not isinstance(source, AsyncRecallSource):
        return nothing("async", "It cannot be awaited; a pipeline runs it in a thread.")
    hits = asyncio.run(_wait(source, probe.question))
    if _ids_of(hits) == _ids_of(probe.answers[probe.question]):
        return fine("async", 0, "Awaited, it gives the same answer.")
    return odd(
        "async", 1, "Awaited, it gives another answer.",
        "one body for both ways, and one client, index and filter",
    )  # fmt: skip


async def _wait(source: AsyncRecallSource, question: str) -> Sequence[Hit]:
    return await source.aretrieve(Query(question), depth=_DEEP)


def _latency(probe: _Probe) -> Finding:
    taken = []
    for question in list(probe.answers)[:5]:
        start = time.perf_counter()
        probe.ask(question, 10)
        taken.append((time.perf_counter() - start) * 1000)
    median = float(np.median(taken))
    text = f"It takes {median:.1f} ms for 10 hits."
    if median <= _SLOW_MS:
        return fine("latency", median, text)
    return odd("latency", median, text, "an index, a nearer server, or a `timeout`")
