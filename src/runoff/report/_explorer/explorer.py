"""`Explorer`: answers every question of the page, whichever way it is carried."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import runoff
from runoff._util.messages import visible
from runoff.errors import InvalidArgument, MissingExtra, PermanentError, RunoffError
from runoff.evaluation._measures.measures import measured_once
from runoff.report._explorer.items import CUT, SHOWN, answer_of, document_of
from runoff.report._explorer.judged import CUTOFF, MEASURE, Judgments
from runoff.report._explorer.labels import GRADES
from runoff.report._explorer.params import NotThere, Params, as_object, as_text
from runoff.types import Document, Query

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runoff.report._explorer.compared import Compared
    from runoff.report._explorer.labels import Labels
    from runoff.report._explorer.live import Live
    from runoff.report._explorer.observed import Observed
    from runoff.report._explorer.recorded import Recorded
    from runoff.types import Response


_MOST_SHOWN, _MOST_CUT = 500, 1_000_000


class Explorer:
    """Answers the page's questions; at least one of the last four is given.

    Args:
        labels: the grades given on the page.
        judgments: of the questions of `live`, where there is no recording.
        recorded: a recording.
        live: a system that can be asked.
        observed: observations of live traffic.
        compared: a comparison of `recorded` with another recording.
    """

    def __init__(
        self,
        labels: Labels,
        *,
        judgments: Judgments | None = None,
        recorded: Recorded | None = None,
        live: Live | None = None,
        observed: Observed | None = None,
        compared: Compared | None = None,
    ) -> None:
        self.labels = labels
        self.recorded, self.live = recorded, live
        self.observed, self.compared = observed, compared
        self._judgments = judgments if recorded is None else recorded.judgments
        self._handlers: dict[tuple[str, str], Callable[[Params, object], Any]] = {
            ("GET", "api/state"): lambda _params, _body: self._state(),
            ("GET", "api/queries"): lambda params, _body: self._main().rows(params),
            ("GET", "api/query"): lambda params, _body: self._query(params),
            ("GET", "api/document"): lambda params, _body: self._document(params),
            ("GET", "api/matches"): lambda params, _body: self._matches(params),
            ("POST", "api/search"): lambda _params, body: self._search(body),
            ("POST", "api/replay"): lambda _params, body: self._replay(body),
            ("GET", "api/losses"): lambda params, _body: self._losses(params),
            ("POST", "api/labels"): lambda _params, body: self._label(body),
            ("GET", "api/trend"): lambda _params, _body: self._trend(),
            ("GET", "api/compare"): lambda _params, _body: self._compare(),
        }

    def answer(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        """Return the answer to one question as plain values for JSON.

        Args:
            method: `"GET"` or `"POST"`.
            path: such as `api/query?id=q1`, relative to the page.
            body: the parsed JSON of a POST.

        Raises:
            NotThere: there is no such address, query or document.
            InvalidArgument: a parameter has a value it cannot have.
            RunoffError: the system, the recording or the labels' file failed.
        """
        params = Params(path)
        handler = self._handlers.get((method, params.route))
        if handler is None:
            raise NotThere(f"there is nothing at {method} {params.route!r}")
        return handler(params, body)

    def prepare(self) -> None:
        """Make what the first answers would wait for."""
        if self.recorded is not None:
            self.recorded.table(self.recorded.replays.own)  # every view needs it
            self.recorded.replays.contest()

    def _main(self) -> Recorded | Observed | Live:
        found = self.recorded or self.observed or self.live
        if found is None:
            raise NotThere("there is nothing to explore")
        return found

    def _state(self) -> dict[str, Any]:
        kind = "recording"
        if self.compared is not None:
            kind = "compare"
        elif self.recorded is None:
            kind = "observations" if self.observed is not None else "live"
        path = self.labels.path
        return {
            "version": runoff.__version__,
            "kind": kind,
            **self._main().state(),
            "live": self.live is not None,
            "can_judge": True,
            "can_compare": self.compared is not None,
            "has_trend": self.observed is not None,
            "labels": {"path": None if path is None else str(path), "count": len(self.labels)},
        }

    def _side(self, params: Params) -> Recorded | None:
        """Return the recording that a request means, if one of two is named."""
        if self.compared is None or params.get("of") is None:
            return self.recorded
        return self.compared.sides[params.one_of("of", ("a", "b"), "a")]

    def _asked(self, name: str) -> bool:
        """Return whether an id names an answer of the live system."""
        return self.live is not None and (self.recorded is None or name in self.live.asked)

    def _query(self, params: Params) -> dict[str, Any]:
        name = params.need("id")
        size = {
            "shown": params.whole("shown", SHOWN, most=_MOST_SHOWN),
            "cut": params.whole("cut", CUT, most=_MOST_CUT),
        }
        if self.observed is not None and self.recorded is None:
            return self._shown(name, self.observed.response(name), **size)
        side = self._side(params)
        if side is not None and not self._asked(name):
            return side.query(name, params.get("settings"), **size)
        return self._shown(name, self._live().response(name), **size)

    def _live(self) -> Live:
        if self.live is None:
            raise NotThere("no system can be asked here: give --system module:attribute")
        return self.live

    def _grades(self, name: str, response: Response) -> Mapping[str, int]:
        """Return the grades for one answer of a live system, or one that was observed."""
        query_id = self._saved_as(name)[0]
        ids = [one.candidate.document.doc_id for one in response.trace.fates]
        own = self.labels.qrels.get(query_id, {})
        if self._judgments is None:
            return own
        return {**self._judgments.grades(query_id, ids), **own}

    def _shown(
        self, name: str, response: Response, shown: int = SHOWN, cut: int = CUT
    ) -> dict[str, Any]:
        """Return an answer of a live system, or one that was observed, as api/query does."""
        grades = self._grades(name, response)
        first = {one.doc_id for one in response.results[:CUTOFF]}
        wanted = [one for one, grade in grades.items() if grade > 0 and one not in first]
        return {
            "query_id": name,
            **answer_of(response, grades, shown, cut),
            "language": None,
            "measure": _measure(response, grades),
            "relevant_missing": [
                {
                    "doc_id": one,
                    "grade": grades[one],
                    "where": document_of(response, one, None)["sentence"],
                }
                for one in sorted(wanted, key=lambda one: -grades[one])
            ],
        }

    def _document(self, params: Params) -> dict[str, Any]:
        name, doc_id = params.need("query"), params.need("doc")
        side = self._side(params)
        if side is not None and not self._asked(name):
            return side.document(name, doc_id, params.get("settings"))
        response = self._answered(name)
        text = None if self.recorded is None else self.recorded.text_of("", doc_id)
        found = document_of(response, doc_id, text)
        return {**found, "grade": self._grades(name, response).get(doc_id)}

    def _answered(self, name: str) -> Response:
        if self.observed is not None and self.recorded is None:
            return self.observed.response(name)
        return self._live().response(name)

    def _matches(self, params: Params) -> dict[str, Any]:
        name, doc_id = params.need("query"), params.need("doc")
        if self.live is None:
            why = (
                "Matching words are known only with the model: give --system, or --path for "
                "files that runoff demo indexed."
            )
            return {"available": False, "why_not": why, "matches": []}
        text: str | None = None
        if self.recorded is not None and not self._asked(name):
            if name not in self.recorded.queries:
                raise NotThere(f"there is no query {name!r} in this recording")
            asked, text = self.recorded.queries[name].text, self.recorded.text_of(name, doc_id)
        else:
            response = self.live.response(name)
            fate = response.trace.fate(doc_id)
            asked = response.query.text
            text = None if fate is None else fate.candidate.document.text
        if not text:
            return {
                "available": False,
                "why_not": "The document's text is not known.",
                "matches": [],
            }
        return self.live.matches(Query(asked), Document(doc_id, text))

    def _search(self, body: object) -> dict[str, Any]:
        live = self._live()
        name = live.search(body)
        return self._shown(name, live.response(name))

    def _replay(self, body: object) -> dict[str, Any]:
        if self.recorded is None:
            raise NotThere("replays need a recording: give the folder of one")
        known = ("window", "blend", "weights", "threshold", "full")
        return self.recorded.replays.replay(as_object(body, known))

    def _losses(self, params: Params) -> dict[str, Any]:
        side = self._side(params)
        if side is None:
            raise NotThere("losses need a recording: give the folder of one")
        return side.losses(params.get("settings"))

    def _trend(self) -> dict[str, Any]:
        if self.observed is None:
            raise NotThere("a trend needs observations: give the folder that watch writes")
        return self.observed.trend()

    def _compare(self) -> dict[str, Any]:
        if self.compared is None:
            raise NotThere("a comparison needs a second recording: give --compare")
        return self.compared.answer()

    def _saved_as(self, name: str) -> tuple[str, str]:
        """Return the id and the text that a query is graded under.

        Raises:
            NotThere: there is no such query.
        """
        if self.live is not None and name in self.live.names:
            query_id = self.live.names[name]
            return query_id, self.live.texts[query_id]
        if self.observed is not None and self.recorded is None:
            one = self.observed.observation(name)
            return one.query_hash, one.query
        if self.recorded is not None and name in self.recorded.queries:
            return name, self.recorded.queries[name].text
        if self.live is not None and name in self.live.texts:
            return name, self.live.texts[name]
        raise NotThere(f"there is no query {name!r} here")

    def _label(self, body: object) -> dict[str, Any]:
        given = as_object(body, ("query_id", "doc_id", "grade"))
        name, doc_id = (as_text(one, given.get(one)) for one in ("query_id", "doc_id"))
        grade = given.get("grade")
        if grade is not None and (isinstance(grade, bool) or grade not in GRADES):
            raise InvalidArgument("grade", grade, "must be 0, 1, 2 or 3, or null to remove it")
        query_id, text = self._saved_as(name)
        self.labels.put(query_id, text, doc_id, None if grade is None else int(grade))
        path = self.labels.path
        return {"labels": {"path": None if path is None else str(path), "count": len(self.labels)}}


def _measure(response: Response, grades: Mapping[str, int]) -> dict[str, float] | None:
    """Return the measure of both orders of one answer; None without a relevant document."""
    if not any(grade > 0 for grade in grades.values()):
        return None
    ranked = sorted(
        (one for one in response.trace.fates if one.rank is not None), key=lambda one: one.rank or 0
    )
    fused = sorted(ranked, key=lambda one: one.candidate.fusion_rank)
    runs = (
        {"q": list(dict.fromkeys(one.candidate.document.doc_id for one in order))}
        for order in (fused, ranked)
    )
    found = measured_once([MEASURE], {"q": grades}, *runs)
    before, after = (float(one[MEASURE][0]) for one in found)
    return {"before": before, "after": after, "gain": after - before}


def status_of(error: Exception) -> tuple[int, str]:
    """Return the HTTP status of an error, and what to say, as a sentence."""
    said = visible(str(error)) or type(error).__name__
    if isinstance(error, NotThere):
        return 404, said
    if isinstance(error, InvalidArgument):
        return 400, said
    if isinstance(error, MissingExtra):
        return 501, said
    if isinstance(error, PermanentError):
        return 500, said
    if isinstance(error, RunoffError):
        return 503, said
    return 500, f"{type(error).__name__}: {said}"
