"""The opening of a report, and the documents to judge, as HTML; every text is escaped."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from runoff._util.text import snippet
from runoff.report._notebook import table_html

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runoff._labels.collection import Collection
    from runoff._recording.recording import Recording
    from runoff.evaluation._verdict.bounds import Unjudged
    from runoff.report._answer import Answer

_LISTED = 30


def opening(answer: Answer) -> str:
    """Return the answer in one sentence and the figures it rests on."""
    cards = "".join(
        f"<div>{html.escape(snippet(one.name, 80))}<b>{html.escape(snippet(one.value, 80))}</b>"
        f"<small>{html.escape(snippet(one.note, 200))}</small></div>"
        for one in answer.figures
    )
    return (
        f'<p class="answer">{html.escape(snippet(answer.sentence, 1000))}</p>'
        f'<div class="figures">{cards}</div>'
    )


def judge_texts(found: Unjudged, recording: Recording, collection: Collection) -> Mapping[str, str]:
    """Return the texts of the first documents to judge, from the collection or the recording."""
    wanted = {one.doc_id for one in found.judge[:_LISTED]}
    if collection.documents is not None:
        documents = collection.documents
        return {one: documents[one].text for one in wanted if one in documents}
    queries = {one.query_id for one in found.judge[:_LISTED]}
    return {
        doc_id: text
        for query_id in queries
        for doc_id, text in zip(
            recording[query_id].doc_ids, recording[query_id].texts, strict=False
        )
        if doc_id in wanted
    }


def unjudged_section(found: Unjudged, texts: Mapping[str, str] | None = None) -> str:
    """Return what the unjudged results could change, and the documents to judge first.

    Args:
        found: the documents, the most decisive first.
        texts: document id to text, as far as known.
    """
    known = texts or {}
    rows: list[tuple[str, ...]] = [
        ("", "document", "could change the mean by", "rank before", "rank after", "query", "text")
    ]
    for at, one in enumerate(found.judge[:_LISTED], 1):
        rows.append(
            (
                str(at),
                snippet(one.doc_id, 60),
                f"{one.effect:+.4f}",
                str(one.before or "-"),
                str(one.after or "-"),
                snippet(found.texts.get(one.query_id, one.query_id), 120),
                snippet(known.get(one.doc_id, ""), 160),
            )
        )
    more = len(found.judge) - _LISTED
    said = "The decision depends on them." if found.decides else "The decision holds either way."
    left = f" The first {_LISTED} of {len(found.judge)} are shown." if more > 0 else ""
    return (
        f"<p>{html.escape(found.sentence)} {said} Judging the first ones decides most.{left}</p>"
        f"{table_html(rows)}"
    )
