"""Rows with metadata of several types, random filters over them, and what a filter must return."""

import random

from shelf import WORDS

from runoff.filters import And, Eq, In, Not, Or, Range
from runoff.types import Query

QUESTION = "oil gas report"
TENANTS = ("a", "b", "O'Brien", 'q"x', "a:b", "é", "a b", "100%", "x' OR '1'='1")
VALUES = {
    "tenant": (*TENANTS, "nowhere"),
    "year": (2010, 2011, 2013.0, "2010", True),
    "score": (0.5, 1, 1.0, 2.25),
    "flag": (True, False, 1, "true"),
    "rare": ("x", "12", 12, True),
}
LEAVES = {
    "text": Eq("tenant", "a"),
    "number": Eq("year", 2011),
    "range": Range("year", gte=2011),
    "or": Or(Eq("tenant", "a"), Eq("tenant", "b")),
    "not": Not(Eq("tenant", "a")),
}


def rows(number=60):
    """Return ids, texts and metadata."""
    chance = random.Random(1)
    return [
        (
            f"00000000-0000-0000-0000-{at:012}",
            f"{WORDS[at % 4]} report about {WORDS[at % 3]} and its market #{at}",
            {
                "tenant": chance.choice(TENANTS),
                "year": chance.choice([2010, 2011, 2012, 2013]),
                "score": chance.choice([0.5, 1.0, 2.25]),
                "flag": chance.choice([True, False]),
                **({"rare": chance.choice(["x", "12", "true"])} if chance.random() < 0.3 else {}),
            },
        )
        for at in range(number)
    ]


def filters(number, seed=2):
    """Return random filters, some of which compare values of several types."""
    chance = random.Random(seed)

    def made(deep):
        drawn = chance.random()
        if deep and drawn < 0.15:
            return Not(made(deep - 1))
        if deep and drawn < 0.5:
            several = [made(deep - 1) for _ in range(chance.randint(1, 3))]
            return chance.choice([And, Or])(*several)
        name = chance.choice([*VALUES])
        if drawn > 0.9:
            return Range(chance.choice(["year", "score", "rare"]), gte=chance.choice([1, 2012]))
        if drawn > 0.75:
            return In(name, tuple(chance.sample(VALUES[name], chance.randint(0, 2))))
        return Eq(name, chance.choice(VALUES[name]))

    return [made(2) for _ in range(number)]


def check_filters(source, number, id_of):
    """Check that each filter returns the best of what passes it, at two depths."""
    held = {doc_id: metadata for doc_id, _, metadata in rows()}
    order = [id_of(hit) for hit in source.retrieve(Query(QUESTION), depth=len(held))]
    assert sorted(order) == sorted(held)
    for condition in filters(number):
        wanted = [one for one in order if condition.matches(held[one])]
        for depth in (3, len(held)):
            query = Query(QUESTION, filters=condition)
            found = [id_of(hit) for hit in source.retrieve(query, depth=depth)]
            assert found == wanted[:depth], condition


def verdict(pushed):
    """Return the table's word for the kinds of conditions that a store applies itself."""
    missing = [name for name in LEAVES if name not in pushed]
    if not missing:
        return "exact"
    if len(missing) == len(LEAVES):
        return "sifted"
    return f"exact; sifted: {', '.join(missing)}"
