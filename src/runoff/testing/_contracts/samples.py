"""The default documents, queries, filters, pairs and candidates of the contracts."""

from __future__ import annotations

from runoff.filters import And, Eq, Filter, In, Not, Or, Range
from runoff.types import Candidate, Document, Placement

DOCUMENTS: tuple[Document, ...] = (
    Document(
        "tea-green",
        "Green tea is steeped for two minutes in water that is hot but not boiling.",
        {"topic": "tea", "year": 2019, "draft": False, "rating": 4.5},
    ),
    Document(
        "tea-black",
        "Black tea wants boiling water and four minutes in the pot.",
        {"topic": "tea", "year": 2020, "draft": True, "rating": 3.0},
    ),
    Document(
        "tea-trade",
        "The tea trade moved its ships from river ports to the open sea.",
        {"topic": "tea", "year": 2021, "draft": False},
    ),
    Document(
        "river-danube",
        "The Danube is a river that passes through four capital cities.",
        {"topic": "rivers", "year": 2019, "draft": False, "rating": 4.0},
    ),
    Document(
        "river-delta",
        "A delta grows where a river drops its sand before the sea.",
        {"topic": "rivers", "draft": True, "rating": 2.5},
    ),
    Document(
        "river-ice",
        "Ice on a river is thinnest above fast water.",
        {"topic": "rivers", "year": 2018, "draft": False, "rating": 4.9},
    ),
    Document(
        "clock-water",
        "A water clock measures time by the level in a vessel.",
        {"topic": "clocks", "year": 2020, "draft": False, "rating": 3.5},
    ),
    Document(
        "clock-pendulum",
        "A pendulum clock loses minutes when its case is warm.",
        {"topic": "clocks", "year": 2017, "draft": False, "rating": 4.1},
    ),
    Document(
        "clock-ship",
        "A ship needs a good clock to find its longitude at sea.",
        {"topic": "clocks", "year": 2021, "draft": True, "rating": 5.0},
    ),
    Document(
        "bread-rye",
        "Rye bread is baked from sour dough and keeps for a week.",
        {"topic": "bread", "year": 2018, "draft": False, "rating": 4.4},
    ),
    Document(
        "bread-flat",
        "Flat bread bakes in minutes on a hot stone.",
        {"topic": "bread", "draft": False},
    ),
    Document(
        "bread-steam",
        "Steam from a pan of hot water gives bread a thin crust.",
        {"topic": "bread", "year": 2020, "draft": False, "rating": 3.9},
    ),
)

QUERIES: tuple[str, ...] = (
    "how hot should the water for green tea be?",
    "which river reaches the sea?",
    "why does a clock lose minutes?",
)

FILTERS: tuple[Filter, ...] = (
    Eq("topic", "tea"),
    Eq("year", 2020),
    Eq("draft", value=True),
    Eq("rating", 4.5),
    Eq("nowhere", 1),
    Eq("topic", "no such topic"),
    In("topic", ("tea", "rivers")),
    In("year", (2018, 2021)),
    In("topic", ()),
    Range("year", gte=2019, lt=2021),
    Range("rating", gt=4.0),
    Not(Eq("topic", "tea")),
    Not(Eq("year", 2020)),
    And(Eq("topic", "tea"), Range("year", lte=2020)),
    Or(Eq("topic", "clocks"), Eq("draft", value=True)),
    And(Not(Or(Eq("topic", "tea"), Eq("topic", "bread"))), Not(Range("rating", lt=4))),
)

ODD_TEXTS: tuple[str, ...] = (
    "",
    " \t\n",
    "nul \x00 inside",
    "half a pair \ud83d alone",
    "茶を二分間蒸らす",
    "🫖" * 50,
    "endless " * 20_000,
)


def pairs() -> list[tuple[str, str]]:
    """Make every pair of a query and a document, query by query."""
    return [(query, document.text) for query in QUERIES for document in DOCUMENTS]


def candidates(texts: tuple[str, ...] | None = None) -> list[Candidate]:
    """Make candidates in fused order, of the sample documents or of other texts."""
    documents = (
        DOCUMENTS
        if texts is None
        else tuple(Document(f"doc-{n}", text) for n, text in enumerate(texts, start=1))
    )
    return [
        Candidate(
            one, one.doc_id, 1 / (60 + rank), rank, (Placement("sample", rank, -float(rank)),)
        )
        for rank, one in enumerate(documents, start=1)
    ]
