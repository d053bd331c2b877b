"""A collection with further judgments, such as those that a verdict asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from runoff._labels.formats import Gathered
from runoff._labels.grades import Grades
from runoff._labels.headers import RETURNED
from runoff._labels.judges import Judges
from runoff._labels.oddities import lasting
from runoff._labels.sheet import cell_name, graded_in
from runoff._labels.tables import read_csv, read_xlsx
from runoff._util.messages import number_of
from runoff._util.stored import path_of
from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from os import PathLike
    from pathlib import Path

    from runoff._labels.collection import Collection

_PERCENT = 10  # grades of people count as relevant from far less on


def rejudged(
    collection: Collection,
    judgments: str | PathLike[str] | Mapping[str, Mapping[str, int]] | Collection,
    judges: str,
    own: Mapping[str, int] | None,
) -> Collection:
    """Return a collection with further judgments; see `Collection.with_judgments`."""
    given = getattr(judgments, "qrels", judgments)
    notes: list[str] = []
    rule, words = Judges(judges), Grades(own)
    if not isinstance(given, Mapping):
        given, notes = _read(path_of("judgments", given), rule, words)
    _check_scale(given, collection.relevant_from)
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
    notes.insert(0, f"{number_of(new, 'judgment was', 'judgments were')} added.")
    if changed:
        notes.insert(
            1,
            f"{number_of(changed, 'judgment was', 'judgments were')} replaced by "
            f"{'a new one' if changed == 1 else 'new ones'}.",
        )
    return replace(collection, qrels=qrels, notes=(*lasting(collection), *notes))


def _check_scale(given: Mapping[str, Mapping[str, int]], relevant_from: int) -> None:
    """Raise if grades such as 0 and 1 are added to grades in percent, as clicks have.

    Raises:
        InvalidArgument: none of the new grades above 0 would count as relevant.
    """
    new = (grade for grades in given.values() for grade in grades.values())
    most = max((grade for grade in new if isinstance(grade, int)), default=0)
    if relevant_from >= _PERCENT and 0 < most < relevant_from:
        remedy = (
            f"would count as not relevant: the grades here are percent, and relevant from "
            f"{relevant_from} on; give 100 for relevant and 0 for not"
        )
        raise InvalidArgument("judgments", most, remedy)


def _read(
    file: Path, judges: Judges, grades: Grades
) -> tuple[dict[str, dict[str, int]], list[str]]:
    """Return the judgments of a table, and how it was read."""
    gathered, left = Gathered(), 0
    if file.suffix.lower() == ".xlsx":
        table = read_xlsx(file, sheet=None, needed=RETURNED)
    else:
        table = read_csv(file, delimiter=None, encoding=None, needed=RETURNED)
    role = table.columns.role
    for where, cells in table.rows:
        graded = graded_in(where, table.columns, cells, grades) if cells else {}
        if graded:
            query_id, doc_id = (cell_name(where, cells[role[name]]) or "" for name in RETURNED[:2])
        elif any(cell is not None for cell in cells):
            left += 1
        for name, value in graded.items():
            grade = grades.read(where, value)
            if name:
                judges.add(where, query_id, doc_id, name, grade)
            else:
                gathered.judge(where, query_id, doc_id, grade)
    for where, query_id, doc_id, grade in judges.settled():
        gathered.judge(where, query_id, doc_id, grade)
    notes = [f"Reading {table.name}: {'; '.join(told)}." for told in [list(grades.told())] if told]
    if left:
        notes.append(
            f"{number_of(left, 'row')} without a grade {'was' if left == 1 else 'were'} left "
            f"out: {'its document stays' if left == 1 else 'their documents stay'} unjudged."
        )
    return gathered.qrels, [*notes, *judges.notes()]
