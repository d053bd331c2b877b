"""A collection with further judgments, such as those that a verdict asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from runoff._util.stored import path_of
from runoff.errors import InvalidArgument, MalformedData
from runoff.evaluation._formats import Gathered, csv_rows

if TYPE_CHECKING:
    from os import PathLike

    from runoff.evaluation._collection import Collection

__all__ = ["rejudged"]

_NEEDED = ("query_id", "doc_id", "grade")


def rejudged(
    collection: Collection,
    judgments: str | PathLike[str] | Mapping[str, Mapping[str, int]] | Collection,
) -> Collection:
    """Return a collection with further judgments; see `Collection.with_judgments`."""
    given = getattr(judgments, "qrels", judgments)
    left = 0
    if not isinstance(given, Mapping):
        given, left = _read(path_of("judgments", given))
    new, changed = 0, 0
    qrels = {query_id: dict(grades) for query_id, grades in collection.qrels.items()}
    for query_id, grades in given.items():
        if query_id not in qrels:
            remedy = "is not a query of this collection: its judgments would be lost"
            raise InvalidArgument("judgments", query_id, remedy)
        known = qrels[query_id]
        new += sum(doc_id not in known for doc_id in grades)
        changed += sum(known.get(doc_id, grade) != grade for doc_id, grade in grades.items())
        known |= grades
    notes = [f"{new} judgments were added."]
    if changed:
        notes.append(f"{changed} judgments were replaced by new ones.")
    if left:
        notes.append(f"{left} rows without a grade were left out: their documents stay unjudged.")
    return type(collection)(
        collection.queries,
        qrels,
        collection.documents,
        collection.labels,
        collection.name,
        (*collection.notes, *notes),
    )


def _read(path: PathLike[str]) -> tuple[dict[str, dict[str, int]], int]:
    """Return the judgments of a table and how many of its rows have no grade."""
    file, gathered, left = path_of("judgments", path), Gathered(), 0
    for where, row in csv_rows(file, "\t" if file.suffix == ".tsv" else ","):
        absent = [name for name in _NEEDED if name not in row]
        if absent:
            remedy = f"must have the columns {', '.join(_NEEDED)}; missing: {', '.join(absent)}"
            raise MalformedData(where, list(row), remedy)
        if row["grade"]:
            gathered.judge(where, row["query_id"], row["doc_id"], row["grade"])
        else:
            left += 1
    return gathered.qrels, left
