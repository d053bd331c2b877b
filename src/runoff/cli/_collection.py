"""The judged queries that a command line argument names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from runoff._labels.collection import Collection
from runoff._labels.formats import Gathered, numbered_lines, read_qrels, read_texts
from runoff._labels.headers import JUDGMENTS, columns_of, missing
from runoff.cli._labels import Labels
from runoff.errors import InvalidArgument
from runoff.evaluation._verdict.bounds import COLUMNS
from runoff.evaluation._verdict.unjudged import pooled

if TYPE_CHECKING:
    from collections.abc import Container

    from runoff._recording.recording import Recording
    from runoff.report._evaluated import Evaluated
    from runoff.types import Document

_TABLES = {".csv", ".tsv", ".xlsx", ".xls", ".ods", ".json", ".jsonl", ".ndjson"}
_DATASET = "ir_datasets:"
_RELEVANT_ONLY = (
    ": the judgments list only relevant documents, so all others count as not relevant. With "
    "--unjudged 1 they count as unknown, and are listed to be judged"
)


def open_collection(
    name: str,
    *,
    split: str,
    topics: Path | None,
    documents: bool,
    judgments: Path | None = None,
    labels: Labels | None = None,
) -> Collection:
    """Return the collection that an argument names.

    Args:
        name: a BEIR folder, a `.csv`, `.tsv`, `.xlsx` or `.jsonl` file, `ir_datasets:NAME`, or else
            a qrels file.
        split: which judgments of a BEIR folder to use.
        topics: the queries of a qrels file; None uses each query's id as its text.
        documents: whether to read the documents.
        judgments: a table of further judgments.
        labels: how labels are read and what they count; None takes the defaults.

    Raises:
        InvalidArgument: there is no such file or folder.
        MalformedData: a line cannot be read.
    """
    said = Labels() if labels is None else labels
    whole = documents or said.match_by_text
    found = said.applied(_opened(name, said, split=split, topics=topics, documents=whole))
    return found if judgments is None else said.joined(found, judgments)


def _opened(
    name: str, labels: Labels, *, split: str, topics: Path | None, documents: bool
) -> Collection:
    if name.startswith(_DATASET):
        return Collection.from_ir_datasets(name.removeprefix(_DATASET), documents=documents)
    path = Path(name)
    if path.is_dir():
        return Collection.from_beir(path, split=split, documents=documents)
    if not path.is_file():
        raise InvalidArgument("collection", name, "there is no such file or folder")
    lower = path.name.lower().removesuffix(".gz")
    if lower.endswith((".jsonl", ".ndjson")):
        return Collection.from_jsonl(path)
    tabs = lower.endswith(".tsv") and topics is None and (labels.clicks or _is_table(path))
    if tabs or lower.endswith((".csv", ".xlsx")):
        return labels.table(path)
    if lower.endswith((".xls", ".ods", ".numbers")):
        raise InvalidArgument("collection", name, "save the spreadsheet as .xlsx or .csv")
    if topics is not None:
        return Collection.from_trec(path, topics)
    gathered = Gathered()
    read_qrels(path, gathered)
    return Collection({one: one for one in gathered.qrels}, gathered.qrels, name=path.name)


def open_questions(name: str) -> list[str]:
    """Return the questions of a text file, one per line; blank lines are skipped.

    Raises:
        InvalidArgument: there is no such file, or it has no question.
    """
    if not Path(name).is_file():
        raise InvalidArgument("collection", name, "there is no such file")
    if Path(name).suffix.lower() in _TABLES:
        remedy = "must be a text file with one question per line: --no-judgments reads no table"
        raise InvalidArgument("collection", name, remedy)
    found = [line.strip() for _, line in numbered_lines(Path(name)) if line.strip()]
    if not found:
        raise InvalidArgument("collection", name, "must have at least one question, one per line")
    return found


def _is_table(path: Path) -> bool:
    """Return whether a file's first line names the columns of `from_csv`, unlike BEIR's qrels."""
    _, first = next(numbered_lines(path), ("", ""))
    return not missing(columns_of(path.name, first.split("\t"), JUDGMENTS), JUDGMENTS)


def texts_beside(name: str, ids: Container[str]) -> dict[str, str] | None:
    """Return the texts of documents from a BEIR folder; None without a corpus there.

    Raises:
        MalformedData: a line cannot be read.
    """
    corpus = [Path(name) / file for file in ("corpus.jsonl", "corpus.jsonl.gz")]
    found = next((one for one in corpus if one.is_file()), None)
    if found is None:
        return None
    return read_texts(found, ids)


def write_judge(
    name: str,
    found: Evaluated,
    collection: Collection,
    recording: Recording | None,
    labels: Labels,
    path: Path,
) -> None:
    """Write the documents to judge to a table, with their texts where they are known.

    Standard error has what makes the table of little use: no documents, or no texts.

    Raises:
        InvalidArgument: nothing is compared, so that nothing is to be judged.
        OSError: the file cannot be written.
    """
    if found.verdict is None:
        remedy = (
            "needs two systems to compare: it lists the documents that would decide between them"
        )
        raise InvalidArgument("judge", str(path), remedy)
    unjudged = found.verdict.unjudged
    if unjudged is None:
        path.write_text(",".join(COLUMNS) + "\n", encoding="utf-8")
        why = "" if pooled(collection.qrels) else _RELEVANT_ONLY
        typer.echo(f"{path}: there is nothing to judge{why}.", err=True)
        return
    texts: dict[str, Document | str] = dict(collection.documents or {})
    for query in recording if recording is not None and not texts else ():
        texts |= dict(zip(query.doc_ids, query.texts, strict=False))
    if not texts:
        texts |= labels.texts()
        texts |= texts_beside(name, {one.doc_id for one in unjudged.judge}) or {}
    unjudged.to_csv(path, texts)
    told_of_texts(path, bool(texts))


def told_of_texts(path: Path, there: bool) -> None:
    """Say on standard error that a table to judge has no texts, if it has none."""
    if not there:
        typer.echo(f"{path} has ids and no texts: --documents adds them.", err=True)
