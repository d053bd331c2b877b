"""What a report opens with: the answer in one sentence, the three figures it rests on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from runoff._recording.runs import BEST
from runoff._util.messages import number_of
from runoff._util.text import snippet
from runoff.report import _figures as figures

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runoff.evaluation._measures.measures import Measured
    from runoff.evaluation._verdict.result import Verdict
    from runoff.report._evaluated import Evaluated


class Figure(NamedTuple):
    """One figure that an answer rests on.

    Attributes:
        name: what it is.
        value: the figure as text.
        note: what it means or how sure it is.
    """

    name: str
    value: str
    note: str


class Answer(NamedTuple):
    """The answer to the question whether the second stage earns its time.

    Attributes:
        sentence: the answer, in one sentence.
        figures: the three figures it rests on.
    """

    sentence: str
    figures: tuple[Figure, ...]


def nothing_judged(measured: Mapping[str, Measured]) -> bool:
    """Return whether none of the results of any system is a judged document."""
    return not any(
        not one.qrels[query_id].keys().isdisjoint(ids)
        for one in measured.values()
        for query_id, ids in one.answers.items()
    )


def answer_of(found: Evaluated) -> Answer:
    """Return what a report opens with.

    Args:
        found: the measured systems, with a verdict if there is a second stage.
    """
    if nothing_judged(found.measured):
        queries = len(next(iter(found.measured.values())).query_ids)
        return Answer(
            "Not known: no result is a judged document, so the ids must be checked first.",
            (Figure("judged questions", f"{queries}", "with judgments of other documents"),),
        )
    if found.verdict is None:
        return _stages(found.measured)
    return Answer(_sentence(found.verdict, _named(found)), _figures(found.verdict, _named(found)))


def _named(found: Evaluated) -> str:
    """Return what the system is compared with, as part of a sentence."""
    before = BEST if found.compared is None else found.compared[0]
    return "the best system without it" if before == BEST else snippet(before, 60)


def _sentence(found: Verdict, before: str) -> str:
    main = found.main
    old, new = f"{main.before:.3f} for {before}", f"{main.after:.3f}"
    spent = _instead(found)
    if found.caveat:
        return (
            f"Nothing can be proven: the judgments are {found.caveat}. "
            f"By them {main.measure} is {new}, against {old}{spent}."
        )
    if found.decision == "keep":
        return (
            f"Yes, the second stage earns its time: {main.measure} is {new}, against {old}{spent}."
        )
    if found.decision == "remove":
        return f"No, the second stage does harm: {main.measure} is {new}, against {old}{spent}."
    if found.decision == "no effect":
        return (
            f"No, the second stage does not earn its time: {main.measure} is {new}, against "
            f"{old}, a difference of at most {found.bound:g}{spent}."
        )
    if found.decision == "keep for these slices":
        kept = " and ".join(map("=".join, found.keep_for)) or "the queries that it does not harm"
        return (
            f"In part: the second stage earns its time for {snippet(kept, 200)}; on all queries "
            f"{main.measure} is {new}, against {old}{spent}."
        )
    if found.unjudged is not None and found.unjudged.decides:
        low, high = found.unjudged.range
        return (
            f"Not known yet: {found.unjudged.documents} of the results were never judged, and "
            f"depending on them the second stage changes {main.measure} by {low:+.3f} to "
            f"{high:+.3f}{spent}."
        )
    return (
        f"Not proven: {number_of(main.queries, 'query does', 'queries do')} not show that the "
        f"second stage earns its time; {main.measure} is {new}, against {old}{spent}."
    )


def _instead(found: Verdict) -> str:
    old = found.rivals[0].ms if found.rivals else None
    if old is None or found.ms is None:
        return ""
    return f"; a search takes {_ms(found.ms)} instead of {_ms(old)}"


def _ms(value: float) -> str:
    return f"{figures.ms(value)} ms"


def _figures(found: Verdict, before: str) -> tuple[Figure, ...]:
    main = found.main
    low, high = main.interval
    every = [
        Figure(
            f"{main.measure} with and without it",
            f"{main.after:.3f} instead of {main.before:.3f}",
            f"{main.difference:+.3f}, between {low:+.3f} and {high:+.3f} on {main.queries} "
            f"queries, against {before}",
        )
    ]
    old = found.rivals[0].ms if found.rivals else None
    if old is not None and found.ms is not None:
        every.append(
            Figure(
                "time of a search",
                f"{_ms(found.ms)} instead of {_ms(old)}",
                "median, estimated from the recorded stages",
            )
        )
    if found.unjudged is not None:
        low, high = found.unjudged.range
        every.append(
            Figure(
                "results never judged",
                f"{found.unjudged.documents}",
                f"their judgments could make it {low:+.3f} or {high:+.3f}",
            )
        )
    else:
        every.append(
            Figure(
                "queries",
                f"{main.wins} better, {main.losses} worse",
                f"{main.ties} of {main.queries} unchanged",
            )
        )
    return tuple(every)


def _stages(measured: Mapping[str, Measured]) -> Answer:
    """Return the answer for a system without a second stage: its best part."""
    first = next(iter(next(iter(measured.values())).values))
    means = {name: one.mean(first) for name, one in measured.items()}
    best = max(means, key=lambda name: means[name])
    own = list(means)[-1]
    said = f"{first} {means[own]:.3f}"
    if best == own:
        sentence = (
            f"There is no second stage: the system has {said}, and none of its parts alone has "
            "more."
        )
    else:
        sentence = (
            f"There is no second stage: the system has {said}, and {snippet(best, 60)} alone "
            f"{means[best]:.3f}."
        )
    shown = sorted(means, key=lambda name: -means[name])[:3]
    queries = len(measured[own].query_ids)
    return Answer(
        sentence,
        tuple(
            Figure(
                f"{first}, {snippet(name, 60)}",
                f"{means[name]:.3f}",
                number_of(queries, "judged query"),
            )
            for name in shown
            if not math.isnan(means[name])
        ),
    )
