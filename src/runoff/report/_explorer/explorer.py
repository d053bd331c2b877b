"""`Explorer`: answers every question of the page, whichever way it is carried."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import runoff
from runoff._util.messages import visible
from runoff.errors import InvalidArgument, MissingExtra, PermanentError, RunoffError
from runoff.report._explorer.params import NotThere, Params, as_object, as_text

if TYPE_CHECKING:
    from runoff.report._explorer.labels import Labels
    from runoff.report._explorer.recorded import Recorded

__all__ = ["Explorer", "status_of"]


class Explorer:
    """Answers the page's questions about one recording.

    Args:
        recorded: the recording.
        labels: the grades given on the page.
    """

    def __init__(self, recorded: Recorded, labels: Labels) -> None:
        self.recorded = recorded
        self.labels = labels

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
        handler = {
            ("GET", "api/state"): self._state,
            ("GET", "api/queries"): self._queries,
            ("GET", "api/query"): self._query,
            ("GET", "api/document"): self._document,
            ("GET", "api/losses"): self._losses,
            ("POST", "api/replay"): self._replay,
            ("POST", "api/labels"): self._label,
        }.get((method, params.route))
        if handler is None:
            raise NotThere(f"there is nothing at {method} {params.route!r}")
        return handler(params, body)

    def _state(self, _params: Params, _body: object) -> dict[str, Any]:
        return {
            "version": runoff.__version__,
            "kind": "recording",
            **self.recorded.state(),
            "live": False,
            "can_judge": True,
            "can_compare": False,
            "labels": self._labels(),
        }

    def _labels(self) -> dict[str, Any]:
        path = self.labels.path
        return {"path": None if path is None else str(path), "count": len(self.labels)}

    def _queries(self, params: Params, _body: object) -> dict[str, Any]:
        return self.recorded.rows(params)

    def _query(self, params: Params, _body: object) -> dict[str, Any]:
        return self.recorded.query(params.need("id"), params.get("settings"))

    def _document(self, params: Params, _body: object) -> dict[str, Any]:
        return self.recorded.document(
            params.need("query"), params.need("doc"), params.get("settings")
        )

    def _losses(self, params: Params, _body: object) -> dict[str, Any]:
        return self.recorded.losses(params.get("settings"))

    def _replay(self, _params: Params, body: object) -> dict[str, Any]:
        known = ("window", "blend", "weights", "threshold", "full")
        return self.recorded.replays.replay(as_object(body, known))

    def _label(self, _params: Params, body: object) -> dict[str, Any]:
        given = as_object(body, ("query_id", "doc_id", "grade"))
        query_id, doc_id = (as_text(name, given.get(name)) for name in ("query_id", "doc_id"))
        grade = given.get("grade")
        if grade is not None and (isinstance(grade, bool) or grade not in (0, 1, 2, 3)):
            raise InvalidArgument("grade", grade, "must be 0, 1, 2 or 3, or null to remove it")
        query = self.recorded.queries.get(query_id)
        if query is None:
            raise NotThere(f"there is no query {query_id!r} here")
        self.labels.put(query_id, query.text, doc_id, grade)
        return {"labels": self._labels()}


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
