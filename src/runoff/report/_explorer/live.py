"""A live system that is asked from the page, and what it answered."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff._recording.capture import stages_of
from runoff._recording.record import setup_of
from runoff._util.text import text_key
from runoff.errors import InvalidArgument
from runoff.evaluation._verdict.slices import by_script
from runoff.filters import And, Eq, In
from runoff.fusion._convex import Convex
from runoff.fusion._rrf import RRF
from runoff.report._explorer.judged import MEASURE
from runoff.report._explorer.marks import span_of, utf16
from runoff.report._explorer.params import NotThere, as_object, as_text
from runoff.report._explorer.settings import fusion_name, own_settings, parsed_settings
from runoff.report._explorer.table import Table
from runoff.rerank._pointwise import Pointwise
from runoff.scores import Threshold

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runoff._recording.setup import Setup
    from runoff.filters import Filter
    from runoff.pipeline import TwoStage
    from runoff.pipeline._systems import System
    from runoff.report._explorer.params import Params
    from runoff.report._explorer.settings import Settings
    from runoff.scores import Match
    from runoff.types import Document, Query, Response


_KEPT = 200  # answers
_WIDEST = 200  # the end of the slider of the window


class Live:
    """A system that answers questions now.

    Args:
        system: the system.
        queries: query id to text of the collection at hand.
        timeout: seconds for one search; None for no limit.
        apart: whether the ids of these queries name recorded answers, so that a question with the
            same text needs an id of its own.

    Attributes:
        asked: id to answer.
        names: the same ids to the id that grades are saved under.
        texts: that id to the text of the query, those of `queries` included.
    """

    def __init__(
        self,
        system: System,
        queries: Mapping[str, str],
        timeout: float | None = 30.0,
        *,
        apart: bool = False,
    ) -> None:
        self.system = system
        self.texts = dict(queries)
        self.names: dict[str, str] = {}
        self._apart = apart
        self.timeout = timeout
        pipeline = system.pipeline
        stages = stages_of(pipeline.reranker)
        widest = max(_WIDEST, pipeline.window)
        self.setup: Setup = setup_of(system, stages, pipeline.depth, widest, {}, texts=True)
        self._known = {text: query_id for query_id, text in queries.items()}
        self._lock = Lock()
        self.asked: OrderedDict[str, Response] = OrderedDict()

    def search(self, body: object) -> str:
        """Answer a question, keep the answer, and return its query id.

        Raises:
            InvalidArgument: the question, a filter or a setting has a value it cannot have.
            RunoffError: any error of the system.
        """
        given = as_object(body, ("text", "filters", "settings"))
        text = as_text("text", given.get("text"))
        filters = _filters(given.get("filters"))
        asked = given.get("settings")
        own = own_settings(self.setup)
        settings = own if asked is None else parsed_settings(asked, self.setup)
        joined = [one for one in (self.system.filters, filters) if one is not None]
        response = self._with(settings, own).search(
            text,
            top_k=self.system.top_k,
            timeout=self.timeout,
            filters=And(*joined) if joined else None,
        )
        return self._keep(response)

    def _keep(self, response: Response) -> str:
        text = response.query.text
        query_id = self._known.get(text, text_key(text))
        name = f"asked:{query_id}" if self._apart else query_id
        with self._lock:
            self.names[name] = query_id
            self.texts.setdefault(query_id, text)
            self.asked[name] = response
            self.asked.move_to_end(name)
            while len(self.asked) > _KEPT:
                self.asked.popitem(last=False)
        return name

    def _with(self, asked: Settings, own: Settings) -> TwoStage:
        """Return the pipeline with these settings."""
        pipeline = self.system.pipeline
        changes: dict[str, Any] = {}
        if asked.window != own.window:
            changes["window"] = asked.window
        if asked.weights != own.weights and isinstance(pipeline.fusion, RRF | Convex):
            weights = {name: weight for name, weight in asked.weights if weight > 0}
            changes["sources"] = {one: pipeline.sources[one] for one in weights}
            changes["fusion"] = replace(pipeline.fusion, weights=weights)
        second = pipeline.reranker
        if (asked.blend, asked.threshold) != (own.blend, own.threshold):
            changes["reranker"] = self._reranker(asked, second)
        return replace(pipeline, **changes) if changes else pipeline

    def _reranker(self, asked: Settings, second: object) -> Pointwise:
        from runoff.rerank._as_reranker import as_reranker  # noqa: PLC0415 - loads scorers

        made = as_reranker(second)
        if not isinstance(made, Pointwise):
            raise InvalidArgument("blend", asked.blend, "can be changed only for a scorer")
        limit = None
        if asked.threshold is not None:
            last = next(reversed(self.asked.values()), None)
            if last is None or not last.trace.model.name:
                remedy = "needs the scale of the scores: ask a question without it first"
                raise InvalidArgument("threshold", asked.threshold, remedy)
            limit = Threshold(asked.threshold, last.trace.kind, last.trace.model.name)
        return replace(made, blend=asked.blend, threshold=limit)

    def response(self, name: str) -> Response:
        """Return what was answered to a question; one of the collection's is asked now.

        Raises:
            NotThere: it was never asked, or so long ago that it was forgotten.
        """
        found = self.asked.get(name)
        if found is None and not self._apart and name in self.texts:
            found = self.asked[self.search({"text": self.texts[name]})]
        if found is None:
            raise NotThere(f"{name!r} was not asked here lately: ask it again")
        return found

    def rows(self, params: Params) -> dict[str, Any]:
        """Answer api/queries: the questions asked, the latest first, then the collection's."""
        asked = {self.names[one]: found for one, found in reversed(self.asked.items())}
        texts = {one: self.texts[one] for one in asked} | self.texts
        unknown = np.full(len(texts), np.nan)
        spent = [asked[one].outcome.spent_ms if one in asked else np.nan for one in texts]
        late = [one in asked and not asked[one].outcome.complete for one in texts]
        scripts = by_script(texts)
        table = Table(
            list(texts),
            list(texts.values()),
            [scripts[one] for one in texts],
            [() for _ in texts],
            np.array([len(text.split()) for text in texts.values()], np.float64),
            unknown,
            unknown,
            unknown,
            unknown,
            np.zeros(len(texts), np.bool_),
            np.array(late, np.bool_),
            np.array(spent, np.float64),
        )
        return table.answer(params, lambda _: {})

    def state(self) -> dict[str, Any]:
        """Return what api/state says of a live system."""
        own, last = own_settings(self.setup), self.setup.steps[-1:]
        pointwise = bool(last) and last[0].pointwise
        late = sum(not one.outcome.complete for one in self.asked.values())
        return {
            "title": "live system",
            "has_texts": True,
            "sources": list(self.setup.sources),
            "measure": MEASURE,
            "counts": {"queries": len(self.texts), "judged": 0, "degraded": late},
            "slices": [],
            "languages": [],
            "settings": {
                **own.to_dict(),
                "key": own.key,
                "fusion": fusion_name(self.setup),
                "ranges": {
                    "window": [1, self.setup.recorded_window] if last else None,
                    "blend": [0, 1] if pointwise else None,
                    "weight": [0, 1] if own.weights else None,
                    "threshold": None,
                },
                "replayable": False,
                "why_not": "There is no recording: settings apply to the next question asked.",
            },
            "notes": [],
        }

    def matches(self, query: Query, document: Document) -> dict[str, Any]:
        """Return which words of a query met which of a document, by late interaction.

        Args:
            query: the query.
            document: the document, with its text.
        """
        from runoff.rerank._as_reranker import as_reranker  # noqa: PLC0415 - loads scorers
        from runoff.types import Candidate  # noqa: PLC0415 - as above

        second = as_reranker(self.system.pipeline.reranker)
        if second is None:
            return _unavailable("Which words match each other is known only with a second stage.")
        candidate = Candidate(document, document.doc_id, 0.0, 1)
        matcher = second.rerank(query, [candidate]).matcher
        if matcher is None:
            return _unavailable("Which words match each other is known only with late interaction.")
        found = matcher(document)
        return {
            "available": True,
            "why_not": None,
            "matches": _placed(found, query.text, document.text),
        }


def _unavailable(why: str) -> dict[str, Any]:
    return {"available": False, "why_not": why, "matches": []}


def _placed(found: Sequence[Match], query: str, document: str) -> list[dict[str, Any]]:
    """Return matches with the places of their words; the same word twice has two places."""
    made: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    for one in found:
        span = span_of(one.query, query, seen.get(one.query, 0))
        if span is None:  # such as the query's special tokens
            continue
        seen[one.query] = span[1]
        met = span_of(one.document, document)
        made.append(
            {
                "query": utf16(query, [span])[0],
                "document": None if met is None else utf16(document, [met])[0],
                "cosine": one.cosine,
                "weight": one.share,
            }
        )
    return made


def _filters(given: object) -> Filter | None:
    """Return the filters of a request: metadata field to a value, or to a list of them.

    Raises:
        InvalidArgument: it is something else.
    """
    if given is None or given == {}:
        return None
    if not isinstance(given, dict):
        remedy = "must map metadata fields to a value, or to a list of values"
        raise InvalidArgument("filters", given, remedy)
    made: list[Filter] = [
        In(name, tuple(value)) if isinstance(value, list) else Eq(name, value)
        for name, value in given.items()
    ]
    return And(*made)
