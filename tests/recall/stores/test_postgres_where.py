"""Filters as SQL of PostgreSQL: the same rows as `Filter.matches`, and no value within the SQL."""

from datetime import UTC, date, datetime

import pytest
from drawn_filters import DOCUMENTS, FILTERS, kept
from engines import postgres_table
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from runoff._waiting.drive import run
from runoff.filters import And, Eq, In, Not, Or, Range
from runoff.recall import Postgres
from runoff.recall._stores.postgres_table import Table, quoted
from runoff.recall._stores.postgres_where import postgres_where
from runoff.types import Document, Query

psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
EVERY = 10_000


def embed(texts):
    return [(1.0, 0.0) for _ in texts]


def by_angle(count):
    return [(1.0, place / 1000) for place in range(count)]


@pytest.fixture(scope="module", params=["json", "jsonb"])
def odd(request, postgres):
    """A source over a table with odd metadata in a column of JSON."""
    name = postgres_table(postgres, DOCUMENTS, vectors=by_angle(len(DOCUMENTS)), kind=request.param)
    source = Postgres(postgres, name, embed=embed)
    yield source
    source.close()


def found(source, wanted, depth):
    return [hit.doc_id for hit in source.retrieve(Query("?", wanted), depth=depth)]


def by_condition(source, wanted):
    """The rows that the SQL alone keeps, before `matches` is asked."""
    table = run(source._described(None))
    condition = source._clause(wanted, table)
    if condition is False:
        return set()
    condition = None if condition is True else condition
    hits = run(source._fetch(table, [1.0, 0.0], condition, EVERY, None))
    return {hit.doc_id for hit in hits}


def check(source, documents, wanted):
    expected = [one.doc_id for one in documents if one.doc_id in kept(wanted, documents)]
    assert by_condition(source, wanted) >= set(expected)
    for depth in (1, 3, len(documents) + 1):
        assert found(source, wanted, depth) == expected[:depth]


@given(wanted=FILTERS)
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@example(wanted=Eq("x", 1e300))
@example(wanted=Not(Eq("x", 1e300)))
@example(wanted=Not(Range("x", gt=0, lte=2**53 + 1)))
@example(wanted=Eq("x", datetime(2026, 11, 29, 14, tzinfo=UTC)))
@example(wanted=Not(In("x", ())))
def test_filters_are_exact(odd, wanted):
    """Random filters over JSON keep what `matches` keeps, at every depth, times among them."""
    check(odd, DOCUMENTS, wanted)


@pytest.mark.slow("60 s: a thousand random filters over json and jsonb, each at three depths")
@given(wanted=FILTERS)
@settings(max_examples=1000, suppress_health_check=list(HealthCheck))
def test_a_thousand_filters_are_exact(odd, wanted):
    """A thousand random filters keep what `matches` keeps, at every depth."""
    check(odd, DOCUMENTS, wanted)


COLUMNS = {
    "whole": ("int4", [1, -1, 2020, None, 2**31 - 1]),
    "big": ("int8", [2**53, 2**53 + 1, 0, -(2**53) - 1, None]),
    "exact": ("numeric", ["1.0", "0.5", "NaN", None, "1e30"]),
    "single": ("float4", [0.1, 1.0, 2.5, None, -0.0]),
    "double": ("float8", [0.1, float("nan"), float("inf"), 1e300, None]),
    "word": ("text", ["a", "A", "2026-11-29", "it's", None]),
    "short": ("char(3)", ["a", "b", "", None, "abc"]),
    "flag": ("boolean", [True, False, None, True, False]),
    "at": (
        "timestamptz",
        [
            *(datetime(2026, 11, 29, 12, tzinfo=UTC), None, datetime(2026, 11, 30, tzinfo=UTC)),
            *("infinity", "10000-01-01 UTC"),
        ],
    ),
    "clock": (
        "timestamp",
        [datetime(2026, 11, 29, 12), None, datetime(2026, 11, 30), "-infinity", "0044-03-15 BC"],  # noqa: DTZ001
    ),
    "day": ("date", [date(2026, 11, 29), None, date(2026, 11, 30), "infinity", "0044-03-15 BC"]),
    "tags": ("text[]", [["a", "b"], [], None, ["2026-11-29"], ["it's"]]),
    "counts": ("int4[]", [[1, 2], [], None, [2020], [-1]]),
    "key": ("uuid", [f"0000000{n}-0000-0000-0000-000000000000" for n in range(5)]),
    "object": ("jsonb", ['{"whole": 1}', "[1]", "1", "null", None]),
}
_FIELDS = st.sampled_from([*COLUMNS, "deep", "absent"])
_VALUES = st.sampled_from(
    [
        *(1, -1, 1.0, 0.5, 0.1, 2020, 2**53, 2**53 + 1, 1e30, 1e300, True, False),
        *("a", "A", "it's", "2026-11-29", "2026-11-29T12:00:00Z", "a  ", "%s", "abc", ""),
        *("00000001-0000-0000-0000-000000000000", date(2026, 11, 29)),
        datetime(2026, 11, 29, 12, tzinfo=UTC),
    ]
)
_NUMBERS = st.sampled_from((0, 0.5, 1, 2019.5, 2**53, 2**53 + 1, -1e300))
_TIMES = st.sampled_from((date(2026, 11, 29), "2026-11-29T12:00:00Z", "2026-11-30"))
_LEAVES = st.one_of(
    st.builds(Eq, _FIELDS, _VALUES),
    st.builds(In, _FIELDS, st.lists(_VALUES, max_size=3)),
    st.builds(lambda field, low: Range(field, gt=low), _FIELDS, st.one_of(_NUMBERS, _TIMES)),
    st.builds(lambda field, top: Range(field, lte=top), _FIELDS, st.one_of(_NUMBERS, _TIMES)),
    st.builds(lambda field, low, top: Range(field, gte=low, lt=top), _FIELDS, _NUMBERS, _NUMBERS),
)
_FILTERS = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner), st.builds(And, inner, inner), st.builds(Or, inner, inner)
    ),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def typed(postgres):
    """A source over a table whose metadata are columns of many types, and JSON besides."""
    declared = ", ".join(f'"{name}" {kind}' for name, (kind, _) in COLUMNS.items())
    with psycopg.connect(postgres) as connection:
        connection.execute("DROP TABLE IF EXISTS typed")
        connection.execute(
            f"CREATE TABLE typed (id int8 PRIMARY KEY, content text, embedding vector(2), "
            f"metadata jsonb, {declared})"
        )
        for place, vector in enumerate(by_angle(5)):
            values = [values[place] for _, values in COLUMNS.values()]
            marks = ", ".join(["%s"] * len(values))
            connection.execute(
                f"INSERT INTO typed VALUES (%s, %s, %s::text::vector, %s, {marks})",
                (place, "text", str(list(vector)), '{"deep": 1, "whole": 7}', *values),
            )
    source = Postgres(postgres, "typed", embed=embed)
    yield source
    source.close()


@given(wanted=_FILTERS)
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@example(wanted=Not(Range("double", gt=1)))
@example(wanted=Not(Eq("whole", 7)))
@example(wanted=Not(In("short", ("a  ", "abc"))))
@example(wanted=Not(Range("whole", lt=0.5)))
@example(wanted=Not(Range("at", gt="2026-11-29")))
@example(wanted=Not(Range("clock", lte="2026-11-29")))
@example(wanted=Or(Range("day", gte="2026-11-29"), Not(Range("day", lte="2026-11-29"))))
def test_columns_are_filtered_by_their_type(typed, wanted):
    """For columns of any type, the SQL keeps what `matches` keeps of the documents listed."""
    check(typed, sorted(typed.documents(), key=lambda one: one.doc_id), wanted)


def test_values_of_columns_are_pythons_own(typed):
    """Times stay times, numbers become ints and floats, and a column stands before JSON."""
    first = next(one for one in typed.documents() if one.doc_id == "0")
    assert first.metadata["at"] == datetime(2026, 11, 29, 12, tzinfo=UTC)
    assert first.metadata["day"] == date(2026, 11, 29)
    assert first.metadata["exact"] == 1.0
    assert first.metadata["tags"] == ["a", "b"]
    assert first.metadata["whole"] == 1
    assert first.metadata["deep"] == 1


def test_times_that_python_lacks_are_absent(typed):
    """PostgreSQL has infinity, and years before 1 and after 9999."""
    listed = {one.doc_id: one.metadata.keys() for one in typed.documents()}
    assert {"at", "clock", "day"} <= listed["0"]
    for doc_id in ("1", "3", "4"):
        assert not {"at", "clock", "day"} & listed[doc_id]


HOSTILE = (
    *("'", '"', "';--", "%", "%s", "%(a)s", "\\", "$1", "{}", "' OR '1'='1"),
    *('x"; DROP TABLE typed; --', "') OR TRUE --", "\\'; --", "a\0b", "\ud800", "é" * 300),
)


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_is_injected(postgres, odd, text):
    """Hostile values, field names, and names of tables and columns are data."""
    for wanted in (Eq(text, text), Not(In("x", (text, "a"))), Range(text, gt=1)):
        check(odd, DOCUMENTS, wanted)
    if "\0" in text or "\ud800" in text or len(text) > 63:
        return
    name, column = quoted(f"t {text}"), quoted(f"c {text}")
    with psycopg.connect(postgres) as connection:
        connection.execute(f"CREATE TABLE {name} (id text, {column} vector(2), text text)", ())
        connection.execute(f"INSERT INTO {name} VALUES ('a', '[1,0]', 'it')", ())
    source = Postgres(postgres, f"t {text}", embed=embed)
    assert found(source, None, 3) == ["a"]
    words = Postgres(postgres, f"t {text}", search="text")
    assert words.retrieve(Query(f"{text} or"), depth=3) == []
    source.close()
    words.close()
    with psycopg.connect(postgres) as connection:
        connection.execute(f"DROP TABLE {name}", ())


def test_values_are_parameters():
    """No value and no field of JSON enters the SQL."""
    table = Table("t", "id", "text", {"word": "text"}, json='"m"', json_kind="jsonb")
    wanted = And(Eq("field", "value"), Or(Not(In("word", ("value", 7))), Range("field", gt=7)))
    said, values = postgres_where(wanted, table)
    assert "value" not in said
    assert "7" not in said
    assert said.count("%s") == len(values)


def test_huge_filters_are_exact(postgres):
    """Thousands of values or of conditions, and the deepest nesting, are still exact."""
    held = [Document(f"d{n}", "text", {"x": n}) for n in range(50)]
    name = postgres_table(postgres, held, vectors=by_angle(50))
    source = Postgres(postgres, name, embed=embed)
    deep = Eq("x", 7)
    for _ in range(33):
        deep = Or(And(Not(deep), Eq("x", -1)), Eq("x", 7))
    for wanted in (
        In("x", tuple(range(0, 50_000, 2))),
        Or(*(Eq("x", n) for n in range(0, 3600, 3))),
        And(*(Not(Eq("x", n)) for n in range(5, 1205))),
        deep,
    ):
        expected = [one.doc_id for one in held if wanted.matches(one.metadata)]
        assert found(source, wanted, EVERY) == expected
    source.close()


def test_an_index_on_the_metadata_serves(postgres):
    """An `Eq` on jsonb has the form that a GIN index on the whole column answers."""
    held = [Document(f"d{n}", "text", {"x": n}) for n in range(50)]
    name = postgres_table(
        postgres, held, vectors=by_angle(50), index="USING gin (metadata jsonb_path_ops)"
    )
    source = Postgres(postgres, name, embed=embed)
    table = run(source._described(None))
    said, values = postgres_where(Eq("x", 7), table)
    with psycopg.connect(postgres) as connection:
        connection.execute("SET enable_seqscan = off")
        plan = connection.execute(f"EXPLAIN SELECT 1 FROM {table.name} WHERE {said}", values)
        assert any("Bitmap Index Scan" in line for (line,) in plan)
    source.close()
