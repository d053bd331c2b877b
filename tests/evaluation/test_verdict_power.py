"""The verdict's rate of false findings, and its power."""

import random

import numpy as np
import pytest
from beir import folder

from runoff import Query
from runoff.evaluation import Collection, Evaluator, by_length, verdict

QUERIES = 100


def _noisy(rng, queries=QUERIES):
    """Return two noisy readings of one system: a fourth zeros, many ones, as nDCG has them."""
    base = np.where(rng.random(queries) < 0.25, -0.3, rng.beta(1.2, 0.6, queries))
    changed = rng.random((2, queries)) < 0.5
    return np.clip(base + rng.normal(0, 0.25, (2, queries)) * changed, 0, 1)


def _values(numbers):
    return {f"q{at}": float(value) for at, value in enumerate(numbers)}


@pytest.mark.slow("6 s: 2,000 verdicts")
@pytest.mark.parametrize("sliced", [False, True])
def test_a_system_against_itself(sliced):
    """Of 1,000 comparisons of a system with itself at most 6.5% find something, sliced or not."""
    slices = None
    if sliced:
        thirds = {f"q{at}": at % 3 for at in range(QUERIES)}
        slices = {"third": thirds, "half": {one: int(one[1:]) // 50 for one in thirds}}
    rng = np.random.default_rng(0)
    false = 0
    for seed in range(1000):
        pairs = [_noisy(rng) for _ in range(2)]
        before, after = (
            {"nDCG@10": _values(pairs[0][side]), "RR@10": _values(pairs[1][side])}
            for side in (0, 1)
        )
        found = verdict(before, after, slices=slices, rounds=1000, seed=seed)
        named = found.decision in {"keep", "remove", "keep for these slices"}
        false += named or bool(found.remove_for)
    assert false / 1000 <= 0.065


@pytest.mark.slow("2 s: 150 verdicts over 20 slicings")
def test_slices_widen_no_level():
    """Slicing by noise, 20 ways at once, gives no more false findings than not slicing."""
    rng = np.random.default_rng(3)
    false = 0
    for seed in range(150):
        before, after = _noisy(rng)
        slices = {
            f"noise {at}": {f"q{one}": int(rng.integers(2)) for one in range(QUERIES)}
            for at in range(20)
        }
        found = verdict(
            {"nDCG@10": _values(before)},
            {"nDCG@10": _values(after)},
            slices=slices,
            rounds=2000,
            seed=seed,
        )
        false += found.decision not in {"undecided", "no effect"} or bool(found.remove_for)
    assert false / 150 <= 0.09


def test_harm_of_a_twentieth_is_found():
    """A loss of .05 with a spread of .14 is found on 100 queries in 90% of trials or more."""
    rng = np.random.default_rng(1)
    found = 0
    for seed in range(200):
        before = rng.uniform(0.3, 0.9, QUERIES)
        after = before + rng.normal(-0.05, 0.14, QUERIES)
        given = [{name: _values(side) for name in ("nDCG@10", "RR@10")} for side in (before, after)]
        found += verdict(*given, rounds=1000, seed=seed).decision == "remove"
    assert found / 200 >= 0.9


def _reversed(query, texts):
    return [-at for at in range(len(texts))][::-1]


def _foreign(query, texts):
    """Score at random, like a model that cannot read the language."""
    return [random.Random(f"{query}\0{text}").random() for text in texts]


def _truncating(query, texts):
    """Count shared words among the first five of a text."""
    words = set(query.lower().split())
    return [len(words & set(text.lower().split()[:5])) for text in texts]


@pytest.mark.data
@pytest.mark.slow("90 s each: 150 verdicts on real queries")
@pytest.mark.parametrize("name", ["scifact", "nfcorpus", "cranfield"])
def test_known_harms_are_found_on_real_queries(name):
    """Rerankers that reverse, cannot read or truncate are removed in 90% of samples.

    A sample is 100 queries. Each reranker takes .05 of nDCG@10 or more from BM25's first 50; a
    constant one changes no order and gets "no effect" where so many queries can show it.
    """
    pytest.importorskip("ir_measures")
    from runoff.recall import BM25

    collection = Collection.from_beir(folder(name))
    bm25 = BM25(list(collection.documents.values()))
    hits = {
        query_id: [hit.document for hit in bm25.retrieve(Query(text), depth=50)]
        for query_id, text in collection.queries.items()
    }
    evaluator = Evaluator(collection)

    def measured(score):
        run = {}
        for query_id, documents in hits.items():
            scores = score(collection.queries[query_id], [one.text for one in documents])
            order = sorted(range(len(documents)), key=lambda at: -scores[at])
            run[query_id] = [documents[at].doc_id for at in order]
        return evaluator.evaluate(run)

    before = measured(lambda _, texts: [0.0] * len(texts))
    constant = measured(lambda _, texts: [1.0] * len(texts))
    assert verdict(before, constant, bound=0.02).decision == "no effect"
    assert verdict(before, constant).decision == "undecided"
    ids = list(collection.queries)
    for harm in (_reversed, _foreign, _truncating):
        after = measured(harm)
        assert after.mean("nDCG@10") - before.mean("nDCG@10") <= -0.05, harm
        removed = 0
        for seed in range(50):
            chosen = random.Random(seed).sample(ids, QUERIES)
            sample = [
                {
                    measure: {one: by_query[one] for one in chosen}
                    for measure, by_query in (
                        (measure, given.by_query(measure)) for measure in evaluator.measures
                    )
                }
                for given in (before, after)
            ]
            slices = {"length": by_length({one: collection.queries[one] for one in chosen})}
            removed += verdict(*sample, slices=slices, rounds=2000, seed=seed).decision == "remove"
        assert removed / 50 >= 0.9, harm
