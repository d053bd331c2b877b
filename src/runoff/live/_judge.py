"""`judge`: grade what the second stage changed, and say whether it helps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from runoff._util.arguments import count, is_one_of, is_share
from runoff._util.lazy import import_name
from runoff._util.messages import number_of
from runoff._util.progress import check_progress, counted
from runoff._util.stored import path_of
from runoff.errors import InvalidArgument
from runoff.live._judging.asking import Asked, Judge, family_of, judge_of
from runoff.live._judging.differences import MEASURES, ORDERS
from runoff.live._judging.found import found_in
from runoff.live._judging.latest import counts, latest, setup_of
from runoff.live._judging.store import Judged, file_of
from runoff.live._judging.texts import Documents
from runoff.live._judging.work import Work
from runoff.live._observations import Observations
from runoff.live._store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

    from runoff._util.progress import Wanted
    from runoff.live._judging.found import Judging
    from runoff.live._judging.texts import Texts
    from runoff.live._observation import Observation
    from runoff.rerank import Cap, Price

People = Callable[[str, str], int | None]

_DEEPEST = 10


def judge(  # noqa: PLR0913 - all but the first two by name
    path: str | PathLike[str],
    by: object = None,
    *,
    people: str | PathLike[str] | People | None = None,
    page: str | PathLike[str] | None = None,
    texts: Texts | None = None,
    measure: str = "SDCG",
    labels: int = 60,
    bound: float = 0.02,
    level: float = 0.05,
    cutoff: int | None = None,
    against: str = "fused",
    prompt: str | PathLike[str] | None = None,
    price: Price | None = None,
    cap: Cap | None = None,
    own_model: str = "refuse",
    since: float = 0.0,
    progress: Wanted = False,
) -> Judging:
    """Grade what the second stage changed on watched traffic, and say whether it helps.

    Only documents whose rank differs between the two top lists are graded, without their ranks and
    in random order. Grades are kept in the directory, so that a call resumes where the last ended.
    People grade a sample, at most one document of a query, whose chances are known; that makes the
    estimate valid however wrong the judge is, and narrower than people alone if the judge is good.
    The answer may be looked at after every query, and grading may end at any time.

    nDCG@k is a quotient and needs all documents of both top lists: the judge grades them all, also
    those at the same rank, and people grade all of a sample of the queries. Its ideal is the best
    order of just these documents, so one in neither list does not count.

    What counts are complete answers of the latest configuration and model.

    Args:
        path: the directory that `watch` writes.
        by: the judge: a LangChain chat model, a LlamaIndex LLM, or a callable that takes the texts
            of a question and of a document and returns a grade from 0 to 3 or a reply with one.
            Grades are kept by its name (`model_name`, `model`, or `__name__`). None leaves all to
            people.
        people: a CSV file, to which the documents are added that people are to grade from 0 to 3
            ("?" if they cannot say), and from which their grades are read at the next call; or a
            callable as above, which returns None if it cannot say. Without it the judge is taken at
            its word, and the statement says so.
        page: an HTML file on which people fill in the table of `people`, offline, in a browser: it
            is written at each call, and saves the table.
        texts: where observations were kept without texts: returns the text of a question by its
            hash and that of a document by its id; a mapping will do.
        measure: `"SDCG"` or `"nDCG"`. Both may be asked of one directory in turn: grades are
            shared, and nothing is asked twice.
        labels: about how many documents of the first queries people grade. A later batch of queries
            gets as many if it is as large as all before it, and proportionally fewer if it is
            smaller. For nDCG these are few queries: give it a thousand.
        bound: smaller differences, either way, count as no difference.
        level: the chance of a false statement, over all looks.
        cutoff: k, how many of the first results count; by default the usual `top_k` of the answers,
            10 at most.
        against: `"fused"` compares the first stage with the answer; `"shadow"` compares the answer
            with what the shadow reranker would have made of it.
        prompt: a file with your own prompt, with the placeholders `{query}` and `{document}`.
        price: of the judge.
        cap: the most that the judge may use in this call.
        own_model: what to do if the judge is of the reranker's own family, whose mistakes it
            shares: `"refuse"`, or `"mark"` the statement.
        since: only answers from this time on, in seconds since 1970, UTC.
        progress: True shows a bar in a terminal or a notebook; a callable gets (documents that the
            judge was asked about, all of them) instead.

    Raises:
        InvalidArgument: an argument has a value it cannot have, or there is nothing to grade.
        MalformedData: a row of the people's file cannot be read.
        MissingExtra: pyarrow is not installed.
    """
    folder = path_of("path", path)
    _check(measure, against, labels, bound, level, cutoff, own_model)
    check_progress(progress)
    if page is not None and (people is None or callable(people)):
        raise InvalidArgument("page", page, "needs a table: pass its file as people=")
    asked = None if by is None else judge_of(by, prompt)
    if asked is None and people is None:
        raise InvalidArgument("by", by, "must be a judge, unless people= is given")
    seen = Observations(folder, since=since)
    iter(seen)  # makes this process write what it holds, which `Store` cannot
    store = Store(folder)
    setup, models, usual, left_out = latest(store, since, against)
    notes = [*left_out]
    if asked is not None:
        for model in models:
            _check_own(asked, model, own_model, notes)
    grades = Judged(file_of(folder))
    k = cutoff or _usual(grades, setup, usual)
    # SDCG's had no name before there was another
    system = f"{setup} {against}@{k}" + (" nDCG" if measure == "nDCG" else "")
    same = partial(_same, seen, setup, against)
    work = Work(grades, system, k, against, Documents(store, texts), same, whole=measure == "nDCG")
    work.read()
    work.take(labels)
    if work.without_text:
        notes.append(
            f"{number_of(work.without_text, 'query is', 'queries are')} left out: the text of "
            "the question or of a document was forgotten, or is neither kept nor in texts=."
        )
    now = {
        "system": system,
        "key": "" if asked is None else asked.key,
        "name": "" if asked is None else asked.name,
        "cutoff": k,
        "bound": float(bound),
        "level": float(level),
        "measure": measure,
        "people": people is not None,
        "notes": notes,
    }
    with counted(progress, "judging") as step:
        reply = Asked() if asked is None else work.ask(asked, price, cap, step)
    if people is not None:
        work.hear(people)
    if page is not None:
        import_name("runoff.report._label.page", "write_label_page")(people, page)
    if reply.capped:
        notes.append(f"The judge stopped at its cap: the next questions would use {reply.capped}.")
    if reply.failed:
        notes.append(
            f"{number_of(reply.failed, 'reply', 'replies')} of the judge "
            f"{'has' if reply.failed == 1 else 'have'} no grade."
        )
    grades.put("now", now)
    questions = work.documents.questions
    del work  # what was given may be most of the memory
    return replace(found_in(grades, now), usage=reply.usage, queries=questions)


def _check(
    measure: str,
    against: str,
    labels: int,
    bound: float,
    level: float,
    cutoff: int | None,
    own_model: str,
) -> None:
    if not is_one_of(measure, MEASURES):
        raise InvalidArgument("measure", measure, 'must be "SDCG" or "nDCG"')
    if not is_one_of(against, ORDERS):
        raise InvalidArgument("against", against, 'must be "fused" or "shadow"')
    count("labels", labels)
    if cutoff is not None:
        count("cutoff", cutoff)
    if not is_share(bound) or not bound:
        raise InvalidArgument("bound", bound, "must be above 0 and at most 1")
    if not is_share(level) or not 0 < level < 1:
        raise InvalidArgument("level", level, "must be above 0 and below 1")
    if not is_one_of(own_model, ("refuse", "mark")):
        raise InvalidArgument("own_model", own_model, 'must be "refuse" or "mark"')


def _same(seen: Observations, setup: str, against: str) -> Iterator[Observation]:
    """Yield the answers that count and were made with a setup."""
    return (one for one in seen if counts(one, against) and setup_of(one, against) == setup)


def _check_own(asked: Judge, model: str, own_model: str, notes: list[str]) -> None:
    family = family_of(model)
    if not model or family != family_of(asked.name):
        return
    if own_model == "refuse":
        remedy = (
            f"is of the same family as the reranker {model!r} ({family}), and so shares its "
            'mistakes: use another judge, or pass own_model="mark"'
        )
        raise InvalidArgument("by", asked.name, remedy)
    notes.append(
        f"The judge {asked.name} is of the reranker's own family ({family}) and may share its "
        "mistakes; only what people correct can be relied on."
    )


def _usual(store: Judged, setup: str, usual: int) -> int:
    """Return the usual number of results, the same at every call."""
    name = f"cutoff {setup}"
    held = store.get(name)
    if not isinstance(held, int):
        held = min(_DEEPEST, usual)
        store.put(name, held)
    return held
