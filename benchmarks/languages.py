"""BM25 in Chinese, German, Arabic, Japanese: the matching analyzer against a whitespace split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import Report, Requirement, Skipped, Table
from judged import Collection, bootstrap, mean, measured

from runoff import Query
from runoff.recall import BM25

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness import Options
    from judged import Values

__all__ = ["run"]

ANALYZERS = {
    "xquad-zh": "chinese",
    "xquad-de": "german",
    "xquad-ar": "arabic",
    "jaquad": "japanese",
}
_MEASURE = "nDCG@10"
_QUICK = 5


def run(options: Options) -> Report:
    """Measure both on every collection."""
    rows: list[tuple[object, ...]] = []
    notes: list[str] = []
    for name in options.collections or ANALYZERS:
        try:
            collection = Collection.load(name, _QUICK if options.quick else options.queries)
        except Skipped as missing:
            notes.append(f"skipped {name}: {missing}")
            continue
        analyzer = ANALYZERS.get(name, "english")
        plain = _values(collection, str.split)[_MEASURE]
        found = _values(collection, analyzer)[_MEASURE]
        one = bootstrap(found, plain)
        rows.append(
            (name, analyzer, len(found), mean(found), mean(plain), one.mean, one.low, one.high)
        )
    if not rows:
        raise Skipped("; ".join(notes))
    columns = (
        "collection", "analyzer", "queries", "analyzer's", "str.split", "difference", "low", "high",
    )  # fmt: skip
    figures = [
        Requirement(f"{row[0]}: BM25 {_MEASURE} with {what}", float(row[at]))  # type: ignore[arg-type] # numbers
        for row in rows
        for what, at in (("the matching analyzer", 3), ("a split at white space", 4))
    ]
    return Report([Table(f"BM25 {_MEASURE}", columns, rows)], figures, notes)


def _values(collection: Collection, analyzer: str | Callable[[str], list[str]]) -> Values:
    source = BM25(collection.documents, analyzer=analyzer)
    run = {
        query_id: [hit.doc_id for hit in source.retrieve(Query(text), depth=10)]
        for query_id, text in collection.queries.items()
    }
    return measured(run, collection, [_MEASURE])
