"""The options that say how labels are read and what they count, shared by the commands."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from runoff._labels.collection import Collection
from runoff._labels.formats import json_objects, numbered_lines, read_documents
from runoff._labels.grades import whole_grade
from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable

    from runoff.types import Document

_PANEL = "Labels"
_FIELD = "field:"


def _option(text: str, *names: str, **more: Any) -> Any:  # noqa: ANN401 - as typer returns it
    return typer.Option(*names, help=text, rich_help_panel=_PANEL, **more)


@dataclass(frozen=True, slots=True)
class Labels:
    """What the options of one command say about its labels; see `Collection`."""

    delimiter: Annotated[
        str | None,
        _option("What separates the columns of a CSV file.", show_default="found by itself"),
    ] = None
    encoding: Annotated[
        str | None, _option("The encoding of a CSV file.", show_default="found by itself")
    ] = None
    sheet: Annotated[
        str | None,
        _option("The sheet of an .xlsx file.", show_default="the one with the columns needed"),
    ] = None
    judges: Annotated[
        str, _option("What several judges of one document count as: majority or mean.")
    ] = "majority"
    grade: Annotated[
        list[str] | None,
        _option("The grade of a word in the table, such as partly=1; repeatable."),
    ] = None
    documents: Annotated[
        Path | None,
        _option(
            "The documents as JSON lines with _id and text, or their ids, one per line: to split "
            "cells with several ids, for --match-by-text, and as the texts of --judge."
        ),
    ] = None
    match_by_text: Annotated[
        bool, _option("Find the judged texts among --documents, by their words.", "--match-by-text")
    ] = False
    judged_documents: Annotated[
        Path | None,
        _option(
            "The documents that were judged, as JSON lines, for --match-by-text where ids changed."
        ),
    ] = None
    least: Annotated[
        float,
        _option("The share of a text's three-word sequences that such a document must have."),
    ] = 0.8
    parent_of: Annotated[
        str | None,
        _option(
            "Where documents are judged and chunks are found: what separates a document's id from "
            "the rest of its chunks' ids, such as '#', a JSON file that maps chunk ids to document "
            "ids, or field:NAME, a field of the chunks in --documents or of their metadata."
        ),
    ] = None
    relevance: Annotated[
        str,
        _option("Whether each relevant document counts, any of them is enough, or all are needed."),
    ] = "each"
    relevant_from: Annotated[
        int | None,
        _option("The lowest grade that counts as relevant.", show_default="1, or 50 for --clicks"),
    ] = None
    clicks: Annotated[
        bool,
        _option("The table is a log with query, doc_id, position and clicked.", "--clicks"),
    ] = False
    propensity: Annotated[
        str | None,
        _option(
            "The chances that positions 1, 2, ... of --clicks are looked at, such as 1,0.6,0.4.",
            show_default="fitted",
        ),
    ] = None
    clip: Annotated[float, _option("Propensities below this are raised to it.")] = 0.05

    def table(self, path: Path) -> Collection:
        """Return the collection of a CSV or Excel file, or of a log of clicks.

        Raises:
            InvalidArgument: an option has a value it cannot have.
            MalformedData: a row cannot be read.
            MissingExtra: openpyxl or krippendorff is needed and not installed.
        """
        if self.clicks:
            return Collection.from_impressions(path, propensity=self._chances(), clip=self.clip)
        given: dict[str, Any] = {
            "documents": _documents(self.judged_documents) if self.match_by_text else self.known(),
            "judges": self.judges,
            "grades": self._grades(),
        }
        if path.name.lower().endswith(".xlsx"):
            return Collection.from_xlsx(path, sheet=self.sheet, **given)
        return Collection.from_csv(path, delimiter=self.delimiter, encoding=self.encoding, **given)

    def applied(self, collection: Collection) -> Collection:
        """Return the collection with its judgments matched and counted as the options say.

        Raises:
            InvalidArgument: an option has a value it cannot have.
        """
        if self.match_by_text:
            known = self.known()
            if known is None:
                remedy = "needs --documents, to look for the texts there"
                raise InvalidArgument("match_by_text", True, remedy)
            collection = collection.match_by_text(known, least=self.least)
        if (self.parent_of, self.relevance, self.relevant_from) == (None, "each", None):
            return collection
        return collection.counting(
            parent_of=self._parents(), relevance=self.relevance, relevant_from=self.relevant_from
        )

    def joined(self, collection: Collection, judgments: Path) -> Collection:
        """Return the collection with the judgments of a further table.

        Raises:
            InvalidArgument: an option has a value it cannot have, or as `with_judgments`.
            MalformedData: a row cannot be read.
        """
        return collection.with_judgments(judgments, judges=self.judges, grades=self._grades())

    def said(self) -> dict[str, object]:
        """Return the options about judgments that were given, by their names."""
        given = {one.name: (getattr(self, one.name), one.default) for one in fields(self)}
        del given["documents"]
        return {name: value for name, (value, default) in given.items() if value != default}

    def texts(self) -> dict[str, str]:
        """Return the texts of the documents by id; none if they are not given."""
        known = self.known()
        if not isinstance(known, Mapping):
            return {}
        return {doc_id: one.text for doc_id, one in known.items()}

    def known(self) -> Mapping[str, Document] | list[str] | None:
        """Return the documents, or their ids; None if they are not given.

        Raises:
            InvalidArgument: there is no such file.
            MalformedData: a line cannot be read.
        """
        return _documents(self.documents)

    def _parents(self) -> Mapping[str, str] | Callable[[str], str] | None:
        mark = self.parent_of
        if not mark:
            return None
        if mark.startswith(_FIELD):
            return self._field(mark, mark.removeprefix(_FIELD))
        path = Path(mark)
        if not mark.lower().endswith(".json"):
            return lambda chunk_id: chunk_id.rpartition(mark)[0] or chunk_id
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InvalidArgument("parent_of", mark, f"cannot be read: {error}") from None
        if not isinstance(found, dict):
            raise InvalidArgument("parent_of", mark, "must map chunk ids to document ids")
        return found

    def _field(self, mark: str, name: str) -> Mapping[str, str]:
        if self.documents is None:
            remedy = "needs --documents, a JSONL file of the chunks that have this field"
            raise InvalidArgument("parent_of", mark, remedy)
        found = {}
        for _, row in json_objects(self.documents):
            inner = row.get("metadata")
            value = row.get(name, inner.get(name) if isinstance(inner, dict) else None)
            if value not in {None, ""}:
                found[str(row.get("_id"))] = str(value)
        if not found:
            remedy = f"no chunk in {self.documents} has the field {name!r}"
            raise InvalidArgument("parent_of", mark, remedy)
        return found

    def _grades(self) -> dict[str, int] | None:
        found = {}
        for one in self.grade or ():
            word, _, grade = one.rpartition("=")
            value = whole_grade(grade)
            if not word or value is None:
                raise InvalidArgument("grade", one, "must be a word and its grade, as in partly=1")
            found[word] = value
        return found or None

    def _chances(self) -> list[float] | None:
        if self.propensity is None:
            return None
        try:
            return [float(one) for one in self.propensity.split(",")]
        except ValueError:
            remedy = "must be numbers separated by commas, for positions 1, 2, ..."
            raise InvalidArgument("propensity", self.propensity, remedy) from None


def _documents(path: Path | None) -> Mapping[str, Document] | list[str] | None:
    if path is None:
        return None
    if not path.is_file():
        raise InvalidArgument("documents", str(path), "there is no such file")
    if path.name.lower().removesuffix(".gz").endswith((".jsonl", ".ndjson")):
        return read_documents(path)
    return [line.strip() for _, line in numbered_lines(path)]


def with_labels(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command with an option for each field of `Labels`; it gets these as `labels`."""
    hints = get_type_hints(Labels, include_extras=True)
    own = fields(Labels)
    kind = inspect.Parameter.KEYWORD_ONLY
    options = [
        inspect.Parameter(one.name, kind, default=one.default, annotation=hints[one.name])
        for one in own
    ]

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:  # noqa: ANN401 - as typer passes them
        labels = Labels(**{one.name: given.pop(one.name) for one in own})
        command(**given, labels=labels)

    known = inspect.signature(command).parameters
    said = get_type_hints(command, include_extras=True)
    parameters = [
        one.replace(kind=kind, annotation=said[one.name])
        for one in known.values()
        if one.name != "labels"
    ]
    wrapped.__signature__ = inspect.Signature([*parameters, *options])  # type: ignore[attr-defined] # typer reads it
    wrapped.__annotations__ = {one.name: one.annotation for one in [*parameters, *options]}
    return wrapped
