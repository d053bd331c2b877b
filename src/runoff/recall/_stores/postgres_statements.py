"""The queries that `Postgres` sends, and the rows that come back as documents."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from runoff.recall._stores.postgres_table import LAYOUT, literal, quoted, readable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff.recall._stores.postgres_bm25 import BM25Index
    from runoff.recall._stores.postgres_table import Table
    from runoff.recall._stores.postgres_where import Part
    from runoff.types import Document

OPERATORS = {"cosine": "<=>", "l2": "<->", "ip": "<#>"}
"""pgvector's operator for each space."""

_NATIVE = {"date", "timestamp", "timestamptz"}
_DIGITS = 22  # up to here, a float that is a power of ten equals the whole number
_LONG = re.compile(r"\d{23}")
_ZEROS = "00000"  # a float's shortest form has 17 digits, then zeros
_ITERATIVE_SINCE = (0, 8)
_MOST_READ = 1000  # the highest hnsw.ef_search
# the words of a text, any of which may occur; the lexemes are quoted as tsquery reads them
_ANY_WORD = r"""
SELECT coalesce(
  string_agg('''' || replace(replace(lexeme, '\', '\\'), '''', '''''') || '''', ' | '), ''
)::tsquery AS runoff_words FROM unnest(to_tsvector({}::regconfig, %s))
"""


def by_vector(
    table: Table,
    space: str,
    vector: Sequence[float],
    where: Part | None,
    limit: int,
    *,
    exact: bool,
) -> Part:
    """Return the query for the rows nearest to a vector, with their distance.

    An approximate index serves only an order by the distance alone, so ties are ordered by id only
    in an exact search.
    """
    said, values = where or ("TRUE", ())
    operator = f"OPERATOR({table.schema}.{OPERATORS[space]})"
    told = f"[{','.join(map(str, vector))}]"
    score = f"{table.vector} {operator} %s::{table.vector_type}"
    query = _select(table, score, f"{table.vector} IS NOT NULL AND {said}")
    return f"{query} ORDER BY 3{', 1' if exact else ''} LIMIT {limit}", (told, *values)


def by_words(table: Table, text: str, language: str, where: Part | None, limit: int) -> Part:
    """Return the query for the rows with any of a text's words, with their `ts_rank_cd`."""
    said, values = where or ("TRUE", ())
    words = _ANY_WORD.format(literal(language))
    source = f" CROSS JOIN ({words}) AS asked"
    score = f"ts_rank_cd({table.searchable}, asked.runoff_words)"
    wanted = f"{table.searchable} @@ asked.runoff_words AND {said}"
    query = _select(table, score, wanted, source)
    return f"{query} ORDER BY 3 DESC, 1 LIMIT {limit}", (_storable(text), *values)


def by_bm25(table: Table, index: BM25Index, text: str, where: Part | None, limit: int) -> Part:
    """Return the query for the rows that an index for BM25 ranks first, with their score.

    pg_textsearch returns it negated, and 0 for rows without any of the words.
    """
    said, values = where or ("TRUE", ())
    asked = _storable(text)
    if index.extension == "pg_search":
        score = f"pdb.score({quoted(index.key)})"
        query = _select(table, score, f"{table.text} ||| %s AND {said}")
        return f"{query} ORDER BY 3 DESC LIMIT {limit}", (asked, *values)
    schema = quoted(index.schema)
    score = f"{table.text} OPERATOR({schema}.<@>) {schema}.to_bm25query(%s, %s)"
    query = _select(table, score, said)
    return f"{query} ORDER BY 3 LIMIT {limit}", (asked, index.name, *values)


def everything(table: Table) -> Part:
    """Return the query for all rows that have an id."""
    return _select(table, "0", "TRUE"), ()


def settings(table: Table, limit: int, *, exact: bool) -> list[Part]:
    """Return what to set for a query, so that its index finds as many rows as are asked for."""
    if exact:
        return [("set_config('enable_indexscan', 'off', true)", ())]
    # NULL before pgvector is loaded, and empty if a setting for one query was lost before that
    now = "nullif(current_setting('hnsw.ef_search', true), '')::int"
    least = (min(limit, _MOST_READ),)
    parts: list[Part] = [(f"set_config('hnsw.ef_search', greatest({now}, %s)::text, true)", least)]
    if table.version >= _ITERATIVE_SINCE:
        parts.append(("set_config('hnsw.iterative_scan', 'strict_order', true)", ()))
        parts.append(("set_config('ivfflat.iterative_scan', 'relaxed_order', true)", ()))
    return parts


def reaches(table: Table, limit: int) -> bool:
    """Return whether an approximate index can find that many rows."""
    return bool(table.spaces) and (limit <= _MOST_READ or table.version >= _ITERATIVE_SINCE)


def as_documents(table: Table, rows: Sequence[Sequence[Any]]) -> list[Document]:
    """Return rows as documents; a column stands before a field of the same name in JSON."""
    held = _read([row[3] for row in rows]) if table.json else [None] * len(rows)
    made = [one if isinstance(one, dict) else {} for one in held]
    for place, (name, kind) in enumerate(table.columns.items(), 3 + bool(table.json)):
        given = [row[place] for row in rows]
        values = given if kind in _NATIVE else _read(given)
        for metadata, text, value in zip(made, given, values, strict=True):
            metadata.pop(name, None)
            if text is not None:  # JSON's null is a value
                metadata[name] = value
    return [
        LAYOUT.document(row[0], {"text": row[1], "metadata": metadata})
        for row, metadata in zip(rows, made, strict=True)
    ]


def _read(texts: Sequence[str | None]) -> list[Any]:
    """Return the values of JSON, read at once, which takes less time than one by one.

    jsonb writes 1e300 as a 1 and 300 zeros, which is read as a float.
    """
    text = f"[{','.join('null' if one is None else one for one in texts)}]"
    found: list[Any] = json.loads(text, parse_int=_number if _LONG.search(text) else None)
    return found


def _number(digits: str) -> float:
    if len(digits) <= _DIGITS:
        return int(digits)
    return float(digits) if digits.endswith(_ZEROS) else int(digits)


def _storable(text: str) -> str:
    return text.replace("\0", " ").encode("utf-8", "replace").decode()


def _select(table: Table, score: str, wanted: str, source: str = "") -> str:
    """Return a query for the rows with an id: their id, text, score and metadata.

    Every name in it is quoted, and every value a parameter.
    """
    return (
        f"SELECT {table.id}, {table.text}, {score}{_fields(table)} "  # noqa: S608 - see above
        f"FROM {table.name}{source} WHERE ({table.id}) IS NOT NULL AND {wanted}"
    )


def _fields(table: Table) -> str:
    """Return the columns of the metadata, each as text of JSON or as a time."""
    parts = [f"{table.json}::text"] if table.json else []
    for name, kind in table.columns.items():
        column = quoted(name)
        time = f"CASE WHEN {readable(column)} THEN {column} END"
        parts.append(time if kind in _NATIVE else f"to_jsonb({column})::text")
    return "".join(f", {part}" for part in parts)
