"""An answer, or one document's path through the stages, as plain text and as HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runoff._recording.query import RecordedQuery
from runoff._recording.recording import Recording
from runoff._util.messages import number_of, visible
from runoff._util.text import snippet
from runoff.errors import InvalidArgument
from runoff.report._account import met, result_rows, said
from runoff.report._found import items_of, of_items
from runoff.report._notebook import account_html, framed, lines_html
from runoff.report._response import of_recorded, of_response
from runoff.report._text import number, table
from runoff.report._way import moved, way
from runoff.types import Response

if TYPE_CHECKING:
    from runoff.report._account import Account, Row

_SNIPPET = 60
_MANY = 12  # pairs of words shown


class Explanation(str):
    """A text that a prompt shows as it is and a notebook as tables."""

    __slots__ = ("_page",)

    _page: str

    @classmethod
    def made(cls, text: str, page: str) -> Explanation:
        """Return a text with its HTML."""
        one = cls(visible(text))
        one._page = page
        return one

    def __repr__(self) -> str:
        """Show the text itself, whose lines a quoted string would run together."""
        return str(self)

    def _repr_html_(self) -> str:
        return self._page


def explain(answer: object, doc_id: str | None = None) -> str:
    """Show what every stage did to an answer, or follow one document through the stages.

    The answers of frameworks are read by the provenance that runoff's retrievers and rerankers
    leave in the metadata. It has the results alone; without it, the order and the scores are shown,
    and what to do.

    Args:
        answer: a `Response`; a query of a recording, `recording[query_id]`; the answer of a
            LlamaIndex query or chat engine; a list of LlamaIndex nodes or of LangChain documents;
            or the dict of a chain, one of whose values is such a list.
        doc_id: the document to follow; None explains the whole answer.

    Returns:
        A text, which a notebook shows as tables with texts that unfold.

    Raises:
        InvalidArgument: it is not an answer; the message says what to pass.
    """
    if doc_id is not None and (not isinstance(doc_id, str) or not doc_id):
        raise InvalidArgument("doc_id", doc_id, "must be the id of a document, or None")
    if isinstance(answer, Response):
        if doc_id is not None:
            return _told(_follow(answer, doc_id))
        return _whole(of_response(answer))
    if isinstance(answer, RecordedQuery):
        account = of_recorded(answer)
        absent = "no source found it at the recorded depth."
    elif isinstance(answer, Recording):
        raise InvalidArgument("answer", answer, "is a whole recording: pass recording[query_id]")
    else:
        account = of_items(*items_of(answer))
        absent = (
            f"not among the {number_of(len(account.results), 'result')}, which "
            f"{'is' if len(account.results) == 1 else 'are'} all that a "
            "framework's "
            "answer has.\n  To see where it was lost, search with the pipeline behind it:\n"
            "  retriever.pipeline.search(question).explain(doc_id), or `runoff explain QUESTION "
            "--doc ID --system module:attribute`."
        )
    if doc_id is None:
        return _whole(account)
    row = next((one for one in (*account.results, *account.others) if one.doc_id == doc_id), None)
    return _told(f"{said(doc_id)}: {absent}" if row is None else _way(row, account))


def _whole(account: Account) -> Explanation:
    parts = [account.headline]
    if account.stages:
        parts.append(table(account.stages, align="<<><"))
    if account.results:
        rows = result_rows(account)
        words = 3 if account.words else 2
        parts.append(table(rows, align=">" * (len(rows[0]) - words) + "<" * words))
    return Explanation.made("\n\n".join(parts), account_html(account))


def _told(text: str) -> Explanation:
    return Explanation.made(text, framed(lines_html(text)))


def _follow(response: Response, doc_id: str) -> str:
    trace = response.trace
    found, fate = way(response, doc_id), trace.fate(doc_id)
    out = [f"{said(doc_id)}: {found.sentence}"]
    out += [f"  {one.stage}: {one.sentence}" for one in found.steps]
    if fate is None:
        out.append("  Try a larger depth or another kind of source, and check that the document is")
        out.append("  indexed and passes the filters.")
        return "\n".join(out)
    candidate = fate.candidate
    if fate.passages:
        best = fate.passages[0]
        out.append(
            f"  best passage: characters {best.start} to {best.end}, score {number(best.score)}: "
            + snippet(candidate.document.text[best.start : best.end], _SNIPPET)
        )
    if trace.matcher is not None and fate.rerank_rank is not None:
        words = met(trace.matcher(candidate.document), _MANY)
        out.append(f"  words of the query ~ of the document: {words}")
    if candidate.grouped:
        ids = (snippet(one.document.doc_id, 40) for one in candidate.grouped)
        out.append(f"  represents: {', '.join(ids)}")
    return "\n".join(out)


def _way(row: Row, account: Account) -> str:
    """Return one document's path through the stages, as far as it is known."""
    place = [] if row.rank is None else [f"rank {row.rank}"]
    out = [f"{said(row.doc_id)}: {', '.join([*place, *([row.fate] if row.fate else [])])}."]
    for name in account.sources:
        if name not in row.sources:
            out.append(f"  {name}: did not find it")
            continue
        rank, value = row.sources[name]
        known = ([] if rank is None else [f"rank {rank}"]) + [f"score {number(value)}"]
        out.append(f"  {name}: {', '.join(known)}")
    if row.fusion_rank is not None:
        out.append(f"  fusion: rank {row.fusion_rank}{_scored(row.fusion_score)}")
    if row.rerank_rank is not None:
        change = "" if row.fusion_rank is None else f" ({moved(row.fusion_rank, row.rerank_rank)})"
        part = ", having read only part of it" if row.truncated else ""
        out.append(f"  rerank: rank {row.rerank_rank}{change}{_scored(row.rerank_score)}{part}")
    elif row.fusion_rank is not None:
        out.append("  rerank: it was not reranked")
    else:
        out.append("  It carries no provenance: see the whole explanation for what to do.")
    return "\n".join(out)


def _scored(score: float | None) -> str:
    return "" if score is None else f", score {number(score)}"


def query_html(query: RecordedQuery) -> str:
    """Return a query of a recording as a notebook shows it explained."""
    made: Any = explain(query)
    page: str = made._repr_html_()
    return page
