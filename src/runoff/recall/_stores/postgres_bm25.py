"""Indexes for BM25 that extensions of PostgreSQL add.

Two are known, by their documentation: ParadeDB's pg_search, whose `|||` finds the texts with any of
the words (https://docs.paradedb.com/documentation/full-text/match), and Tiger Data's pg_textsearch,
whose `<@>` is the negated score (https://github.com/timescale/pg_textsearch).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Sequence

Ranking: TypeAlias = Literal["auto", "bm25", "ts_rank_cd"]

# older versions of pg_search leave out scores beside other conditions and in prepared statements
_SINCE = {"pg_search": (0, 20), "pg_textsearch": (1, 0)}

BM25_INDEXES = """
(SELECT json_agg(json_build_array(
   a.attname, e.extname, e.extversion, n.nspname, i.indexrelid::regclass::text,
   coalesce((SELECT substr(o, 11) FROM unnest(c.reloptions) AS o WHERE o LIKE 'key_field=%%'),
            (SELECT k.attname FROM pg_attribute k
             WHERE k.attrelid = i.indrelid AND k.attnum = i.indkey[0]))))
 FROM pg_index i
 JOIN pg_class c ON c.oid = i.indexrelid
 JOIN pg_am m ON m.oid = c.relam AND m.amname = 'bm25'
 JOIN pg_depend made ON made.classid = 'pg_am'::regclass AND made.objid = m.oid
   AND made.refclassid = 'pg_extension'::regclass
 JOIN pg_extension e ON e.oid = made.refobjid
 JOIN pg_namespace n ON n.oid = e.extnamespace
 JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum IN (
   SELECT d.refobjsubid FROM pg_depend d
   WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.refobjid = i.indrelid)
 WHERE i.indrelid = asked.oid AND i.indisvalid)
"""
"""Reads the indexes for BM25 on each column of the table `asked`, for `bm25_index`."""


@dataclass(frozen=True, slots=True)
class BM25Index:
    """An index for BM25.

    Attributes:
        extension: `"pg_search"` or `"pg_textsearch"`.
        schema: where the extension is.
        name: the index, as `regclass` writes it.
        key: the column by which pg_search finds a score.
    """

    extension: str
    schema: str
    name: str
    key: str


def bm25_index(
    found: Sequence[Sequence[Any]] | None, column: str, ranking: Ranking
) -> BM25Index | None:
    """Return the index for BM25 that ranks a column; None for `ts_rank_cd`.

    Raises:
        InvalidArgument: `ranking` is `"bm25"`, and no extension has an index on the column.
    """
    if ranking == "ts_rank_cd":
        return None
    for name, extension, version, *rest in found or ():
        known = tuple(map(int, re.findall(r"\d+", version)[:2]))
        if name == column and extension in _SINCE and known >= _SINCE[extension]:
            return BM25Index(extension, *rest)
    if ranking == "auto":
        return None
    since = " or ".join(f"{name} {'.'.join(map(str, v))}" for name, v in _SINCE.items())
    remedy = f"needs a BM25 index on column {column!r}, of {since} or later: there is none"
    raise InvalidArgument("ranking", ranking, remedy)
