"""What a table of PostgreSQL holds: its columns, by name or recognised, and its indexes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runoff.errors import IndexNotFound, InvalidArgument
from runoff.recall._stores.postgres_bm25 import BM25_INDEXES, BM25Index, bm25_index
from runoff.recall._stores.records import TEXTS, Layout, pick

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runoff.recall._stores.postgres_bm25 import Ranking
    from runoff.recall._stores.records import Names

# columns as langchain-postgres, llama-index-vector-stores-postgres and most others name them
_IDS = ("node_id", "langchain_id", "id", "doc_id")
_JSONS = ("metadata_", "langchain_metadata", "metadata", "cmetadata")
_VECTORS = {"vector", "halfvec"}
_UNREADABLE = {"tsvector", "sparsevec", "bit", "varbit", "bytea"}
_CONFIGURATION = re.compile(r"to_tsvector\('([^']+)'::regconfig")
_SPACES = ("cosine", "l2", "ip")

LAYOUT = Layout("text", "metadata")
"""A record with the text and the metadata of a row."""

CATALOGUE = f"""
SELECT
  (SELECT json_agg(json_build_array(a.attname, t.typname, n.nspname, a.atttypmod,
                                    pg_get_expr(d.adbin, d.adrelid)) ORDER BY a.attnum)
   FROM pg_attribute a
   JOIN pg_type t ON t.oid = a.atttypid
   JOIN pg_namespace n ON n.oid = t.typnamespace
   LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
   WHERE a.attrelid = asked.oid AND a.attnum > 0 AND NOT a.attisdropped),
  (SELECT json_agg(json_build_array(a.attname, m.amname, o.opcname))
   FROM pg_index i
   JOIN pg_class c ON c.oid = i.indexrelid
   JOIN pg_am m ON m.oid = c.relam
   JOIN pg_opclass o ON o.oid = i.indclass[0]
   JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
   WHERE i.indrelid = asked.oid),
  (SELECT extversion FROM pg_extension WHERE extname = 'vector'),
  {BM25_INDEXES}
FROM (SELECT to_regclass(%s)::oid AS oid) AS asked
"""  # noqa: S608 - both parts are constants
"""Reads columns, indexes, the version of pgvector and indexes for BM25, in one row."""


@dataclass(frozen=True, slots=True)
class Table:
    """The columns that a source reads; all SQL in here is quoted.

    Attributes:
        name: the table.
        id: the column of ids, as text in the order of code points.
        text: the column of texts.
        columns: the type of each column that is a field of the metadata.
        json: the column whose object holds the other fields; None without one.
        json_kind: its type, `"json"` or `"jsonb"`.
        vector: the column of vectors; None without one.
        vector_type: its type, with its schema, for a cast.
        schema: the schema of pgvector's operators.
        dimension: the vectors' dimension, if the column has one.
        spaces: the spaces that its approximate indexes are made for.
        searchable: the texts as `tsvector`.
        version: the version of pgvector.
        bm25: the index for BM25 that ranks the texts; None for `ts_rank_cd`.
    """

    name: str
    id: str
    text: str
    columns: Mapping[str, str] = field(default_factory=dict)
    json: str | None = None
    json_kind: str = ""
    vector: str | None = None
    vector_type: str = ""
    schema: str = ""
    dimension: int | None = None
    spaces: tuple[str, ...] = ()
    searchable: str = ""
    version: tuple[int, ...] = ()
    bm25: BM25Index | None = None


def readable(column: str) -> str:
    """Return the condition that a column's time is one of Python's, in any zone.

    PostgreSQL has infinity, and years before 1 and after 9999.
    """
    return f"{column} BETWEEN '0001-01-02' AND '9999-12-30'"


def quoted(*names: str) -> str:
    """Return a name, or a name in a schema, as an identifier that is safe in SQL with `%s`."""
    return ".".join('"' + name.replace('"', '""').replace("%", "%%") + '"' for name in names)


def literal(text: str) -> str:
    """Return a text as a constant of SQL with `%s`."""
    return "'" + text.replace("'", "''").replace("%", "%%") + "'"


def read_table(
    where: str,
    row: Sequence[Any],
    names: Names,
    search: str,
    language: str,
    ranking: Ranking,
) -> Table:
    """Return what the catalogue says of a table.

    Raises:
        IndexNotFound: there is no such table.
        InvalidArgument: a column that was named is not there, one that was not is not recognised,
            the texts were indexed in another language, or have no index for BM25.
    """
    columns, indexes, version, of_bm25 = row
    if not columns:
        raise IndexNotFound(f"there is no table {where.replace('%%', '%')}, or it has no columns")
    found = _Columns({one[0]: one for one in columns})
    id_name = found.pick("id", names.id, _IDS)
    text_name = found.pick("text", names.text, TEXTS)
    vectors = [name for name in found.types if found.types[name] in _VECTORS]
    vector = None
    if search == "dense":
        vector = found.pick("vector", names.vector, vectors if len(vectors) == 1 else ())
        if vector not in vectors:
            raise InvalidArgument("vector", vector, "must be a column of type vector or halfvec")
    json_name, fields = found.metadata(names.metadata, {id_name, text_name, *vectors})
    bm25 = bm25_index(of_bm25, text_name, ranking) if search == "text" else None
    ann = [one[2] for one in indexes or [] if one[0] == vector]
    return Table(
        name=where,
        id=f'{quoted(id_name)}::text COLLATE "C"',
        text=quoted(text_name),
        columns=fields,
        json=quoted(json_name) if json_name else None,
        json_kind=found.types[json_name] if json_name else "",
        vector=quoted(vector) if vector else None,
        vector_type=quoted(found.all[vector][2], found.types[vector]) if vector else "",
        schema=quoted(found.all[vector][2]) if vector else "",
        dimension=max(0, found.all[vector][3]) or None if vector else None,
        spaces=tuple(sorted({one for name in ann for one in _SPACES if f"_{one}_" in name})),
        searchable=found.searchable(text_name, language) if search == "text" and not bm25 else "",
        version=tuple(int(part) for part in re.findall(r"\d+", version or "")),
        bm25=bm25,
    )


class _Columns:
    """A table's columns, from which some are picked."""

    def __init__(self, every: Mapping[str, Any]) -> None:
        self.all = every
        self.types = {name: one[1] for name, one in every.items()}

    def pick(self, argument: str, given: str | None, known: Sequence[str]) -> str:
        return pick(argument, given, known, self.all)

    def metadata(
        self, given: str | Sequence[str] | None, taken: set[str]
    ) -> tuple[str | None, dict[str, str]]:
        """Return the column of JSON objects, if any, and the types of the other columns."""
        if given is not None:
            chosen = [given] if isinstance(given, str) else list(given)
            for name in chosen:
                self.pick("metadata", name, ())
        else:
            chosen = [
                name
                for name, kind in self.types.items()
                if name not in taken and kind not in _UNREADABLE
            ]
            if "node_id" in taken:  # LlamaIndex numbers its rows besides
                chosen = [name for name in chosen if name != "id"]
        objects = [name for name in chosen if self.types[name] in {"json", "jsonb"}]
        if given is None:
            objects = [name for name in _JSONS if name in objects]
        elif len(objects) > 1:
            raise InvalidArgument("metadata", given, "must name one column of JSON at most")
        json_name = objects[0] if objects else None
        return json_name, {name: self.types[name] for name in chosen if name != json_name}

    def searchable(self, text: str, language: str) -> str:
        """Return the texts as a `tsvector`: a column, else computed from them."""
        for name in (name for name, kind in self.types.items() if kind == "tsvector"):
            made = _CONFIGURATION.search(self.all[name][4] or "")
            if made and made[1].rpartition(".")[2] != language.rpartition(".")[2]:
                remedy = f"must be {made[1]!r}, the configuration that column {name!r} is made with"
                raise InvalidArgument("language", language, remedy)
            return quoted(name)
        return f"to_tsvector({literal(language)}::regconfig, {quoted(text)})"
