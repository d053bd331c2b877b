"""How a `Collection` is made: its `from_...` methods."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from runoff._labels.formats import Gathered, read_qrels, read_topics
from runoff._labels.reading import (
    beir,
    impressions_of,
    ir_dataset,
    json_lines,
    pairs_of,
    table_of,
    votes_of,
)
from runoff._labels.tables import framed, read_csv, read_xlsx
from runoff._util.stored import path_of
from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from os import PathLike

_Made = TypeVar("_Made")


class Readers:
    """The `from_...` methods of `Collection`."""

    __slots__ = ()

    @classmethod
    def from_beir(
        cls, path: str | PathLike[str], *, split: str = "test", documents: bool = True
    ) -> Self:
        """Read a folder in the layout of BEIR; each file may be compressed (`.gz`).

        Args:
            path: has `queries.jsonl`, `qrels/SPLIT.tsv` (or `qrels.SPLIT.tsv`, and `qrels.tsv` for
                the test split) and `corpus.jsonl`.
            split: whose judgments to read.
            documents: False leaves `corpus.jsonl` unread.

        Raises:
            InvalidArgument: a file is missing, or a judged query has no text.
            MalformedData: a line cannot be read.
        """
        folder = path_of("path", path)
        return _made(cls, beir(folder, split, documents=documents), folder.resolve().name)

    @classmethod
    def from_trec(
        cls, qrels: str | PathLike[str], topics: str | PathLike[str], *, name: str | None = None
    ) -> Self:
        """Read TREC qrels and topics; each file may be compressed.

        Args:
            qrels: `query 0 document grade` lines.
            topics: `query<tab>text` lines, or `<top>` blocks, whose title becomes the text.
            name: its name in reports; the qrels file's name by default.

        Raises:
            InvalidArgument: a judged query has no topic.
            MalformedData: a line cannot be read.
        """
        gathered = Gathered()
        read_qrels(path_of("qrels", qrels), gathered)
        read_topics(path_of("topics", topics), gathered)
        return _made(cls, gathered, name or Path(qrels).name)

    @classmethod
    def from_csv(
        cls,
        path: str | PathLike[str],
        *,
        delimiter: str | None = None,
        encoding: str | None = None,
        documents: object = None,
        judges: str = "majority",
        grades: Mapping[str, int] | None = None,
    ) -> Self:
        """Read a table with one judgment in each row; `notes` tell how it was read.

        The header has `query`, `doc_id` (or `answer`, the text of an answer, see `match_by_text`)
        and optionally `query_id` (by default derived from the text), `grade` (by default 1) and
        `judge`, in any case and in their usual spellings and translations; every other column is a
        label. Several columns such as `grade Ann` and `grade Ben` are several judges. Grades are
        whole numbers or words such as yes and no; a row without a grade is not judged. An empty
        query is the one above.

        Args:
            path: a CSV file; it may be compressed.
            delimiter: by default the one with which the header makes sense.
            encoding: by default by the file's byte order mark, UTF-8 or Windows-1252.
            documents: your documents or their ids; a cell with several of these ids is split.
                Without them such a cell is refused.
            judges: what several judges of one document count as: `"majority"` (of two grades that
                as many gave, the lower) or `"mean"` (rounded, halves down).
            grades: the grades of words that are not known here, such as `{"partly": 1}`.

        Raises:
            InvalidArgument: an argument has a value it cannot have.
            MalformedData: the header lacks a column, or a row cannot be read.
            MissingExtra: several judges graded, and krippendorff is not installed.
        """
        file = path_of("path", path)
        table = read_csv(file, delimiter=delimiter, encoding=encoding)
        return _made(
            cls, table_of(table, documents=documents, judges=judges, grades=grades), file.name
        )

    @classmethod
    def from_xlsx(
        cls,
        path: str | PathLike[str],
        *,
        sheet: str | None = None,
        documents: object = None,
        judges: str = "majority",
        grades: Mapping[str, int] | None = None,
    ) -> Self:
        """Read a sheet of an Excel file with one judgment in each row, as `from_csv` reads a table.

        Args:
            path: an `.xlsx` file.
            sheet: its name; by default the one sheet with the columns needed.
            documents: as `from_csv` takes them.
            judges: as `from_csv` takes it.
            grades: as `from_csv` takes them.

        Raises:
            InvalidArgument: an argument has a value it cannot have, or several sheets would do.
            MalformedData: the header lacks a column, or a row cannot be read.
            MissingExtra: openpyxl is not installed.
        """
        file = path_of("path", path)
        table = read_xlsx(file, sheet=sheet)
        return _made(
            cls, table_of(table, documents=documents, judges=judges, grades=grades), file.name
        )

    @classmethod
    def from_pandas(
        cls,
        frame: Any,  # noqa: ANN401 - no pandas here
        *,
        name: str = "frame",
        documents: object = None,
        judges: str = "majority",
        grades: Mapping[str, int] | None = None,
    ) -> Self:
        """Take a data frame with one judgment in each row, as `from_csv` reads a table.

        Raises:
            InvalidArgument: it is no data frame, or an argument has a value it cannot have.
            MalformedData: a column is missing, or a row cannot be read.
        """
        if not hasattr(frame, "itertuples") or not hasattr(frame, "notna"):
            raise InvalidArgument("frame", frame, "must be a data frame; for lists use from_pairs")
        # an empty cell is NaN, NaT or NA in a frame, and None here
        filled = frame.astype(object).where(frame.notna(), None)
        rows = filled.itertuples(index=False, name=None)
        table = framed(name, list(frame.columns), rows)
        return _made(cls, table_of(table, documents=documents, judges=judges, grades=grades), name)

    @classmethod
    def from_jsonl(cls, path: str | PathLike[str]) -> Self:
        """Read JSON lines with one query in each.

        An object has `query` (or `text`), `relevant` (document id to grade, or a list of ids) and
        optionally `query_id`; every other string, number or boolean is a label.

        Raises:
            MalformedData: a line cannot be read.
        """
        file = path_of("path", path)
        return _made(cls, json_lines(file), file.name)

    @classmethod
    def from_pairs(
        cls,
        pairs: Iterable[tuple[str, Mapping[str, int] | Iterable[str]]]
        | Mapping[str, Mapping[str, int] | Iterable[str]],
        *,
        name: str = "pairs",
    ) -> Self:
        """Take (query text, relevant document ids) pairs; grades may be given as a mapping.

        A mapping of texts to relevant ids works too. A query's id is derived from its text, so it
        is the same on every run.

        Raises:
            MalformedData: an item is not such a pair.
        """
        return _made(cls, pairs_of(pairs, name), name)

    @classmethod
    def from_clicks(
        cls, events: Iterable[tuple[str, str] | tuple[str, str, int]], *, name: str = "clicks"
    ) -> Self:
        """Take clicks, (query text, document id), or thumbs, (query text, document id, 1 or -1).

        The votes for a document are added up: above 0 it has grade 1, below 0 grade 0, and at 0 it
        counts as not judged. People click on what they are shown, mostly on the first results, so
        such judgments favour the system they were collected with: no verdict on them is proven.

        Raises:
            MalformedData: an event is not such a tuple, or a vote is neither 1 nor -1 (True and
                False count as these).
        """
        return _made(cls, votes_of(events, name), name)

    @classmethod
    def from_impressions(
        cls,
        impressions: str | PathLike[str] | Iterable[tuple[Any, ...]],
        *,
        propensity: Mapping[int, float] | Sequence[float] | None = None,
        clip: float = 0.05,
        name: str | None = None,
    ) -> Self:
        """Take what users were shown, at which position, and what they clicked.

        People look at the first positions most. That is allowed for by how likely each position is
        looked at, so clicks there count less. A grade is the chance in percent that a document is
        relevant, `relevant_from` is 50, and documents that were looked at too rarely to say are not
        judged. `notes` have the fitted figures and their limits. Where those do not suffice,
        `caveat` says so, and no verdict is proven.

        Args:
            impressions: (query text, document id, position from 1, clicked), and optionally how
                often it was shown there, with `clicked` as a number; or a table with the columns
                `query`, `doc_id`, `position`, `clicked` and optionally `shown`.
            propensity: position to the chance that it is looked at, above 0 and at most 1, or a
                list of these from position 1 on. None fits it, for which one query has to have
                shown some documents at several positions.
            clip: propensities below this count as this.
            name: its name in reports; by default the file's, or `"impressions"`.

        Raises:
            InvalidArgument: an argument has a value it cannot have, no propensity can be fitted, or
                no document was looked at often enough.
            MalformedData: an impression is not such a tuple, or a row cannot be read.
        """
        gathered, named = impressions_of(impressions, propensity, clip)
        return _made(cls, gathered, name or named)

    @classmethod
    def from_ir_datasets(cls, name: str, *, documents: bool = False) -> Self:
        """Load a data set of the `ir_datasets` package by its name, such as `"beir/scifact/test"`.

        That package downloads it if necessary.

        Raises:
            MissingExtra: ir_datasets is not installed.
            InvalidArgument: the name is unknown, or the data set has no judgments.
        """
        return _made(cls, ir_dataset(name, documents=documents), name)


def _made(kind: type[_Made], gathered: Gathered, name: str) -> _Made:
    if not gathered.qrels:
        raise InvalidArgument(name, gathered.qrels, "needs at least one judgment")
    return cast("Callable[..., _Made]", kind)(
        gathered.queries,
        gathered.qrels,
        gathered.documents,
        gathered.labels,
        name,
        gathered.notes(),
        caveat=gathered.caveat,
        relevant_from=gathered.relevant_from,
    )
