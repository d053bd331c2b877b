"""Properties of every ranking, tested by hypothesis."""

import math
from dataclasses import replace
from functools import wraps
from inspect import Signature, signature

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from runoff.fusion import RRF, Convex
from runoff.types import Document, Hit

SOURCES = ("bm25", "dense", "graph")
DOCS = "abcdefgh"
CONVEX = [Convex(normalizer=name) for name in ("minmax", "theoretical", "zscore")]
WEIGHTED = {"bm25": 0.3, "dense": 1.7, "graph": 0.1}
FUSIONS = [RRF(), RRF(WEIGHTED, rank_constant=1.5), *CONVEX]
FUSIONS += [replace(fusion, weights=WEIGHTED) for fusion in CONVEX]


def of(fusions):
    """Try a property on each of these fusions with every example; drawing it takes the time."""

    def decorated(test):
        @wraps(test)
        def each(*drawn, **named):
            for fusion in fusions:
                try:
                    test(fusion, *drawn, **named)
                except AssertionError as error:
                    error.add_note(f"the fusion: {fusion!r}")
                    raise

        _, *others = signature(test).parameters.values()
        each.__signature__ = Signature(others)
        return each

    return decorated


every_fusion = of(FUSIONS)


ordinary = st.floats(-1e6, 1e6).map(lambda score: round(score, 6))
any_finite = st.floats(allow_nan=False, allow_infinity=False)
any_float = st.floats()


def hits(scores, low=None):
    ordered = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Hit(Document(key, key), score, (low, None)) for key, score in ordered)


def tables(scores, min_size=0):
    """For each source, the scores of the documents it found."""
    found = st.dictionaries(st.sampled_from(DOCS), scores, min_size=min_size)
    return st.fixed_dictionaries(dict.fromkeys(SOURCES, found))


def fuse(fusion, table, low=None):
    return fusion.fuse({source: hits(scores, low) for source, scores in table.items()})


@given(table=tables(any_float), low=st.none() | any_float)
@every_fusion
def test_every_key_gets_a_finite_score(fusion, table, low):
    """For any scores, even NaN and infinity, every key has a finite fusion score."""
    fused = fuse(fusion, table, low)
    assert fused.keys() == {key for scores in table.values() for key in scores}
    assert all(map(math.isfinite, fused.values()))


@given(table=tables(any_finite), order=st.permutations(SOURCES))
@every_fusion
def test_source_order_changes_no_bit(fusion, table, order):
    """The order in which sources are given changes nothing, not even the last bit."""
    assert fuse(fusion, table) == fuse(fusion, {source: table[source] for source in order})


@given(
    table=tables(ordinary),
    doc=st.sampled_from(DOCS),
    source=st.sampled_from(SOURCES),
    gain=st.floats(0, 1e6),
)
@every_fusion
def test_monotone(fusion, table, doc, source, gain):
    """A better score in one source, hence a rank at least as good, never lowers a document."""
    assume(doc in table[source])
    raised = {**table, source: {**table[source], doc: table[source][doc] + gain}}
    rounding = 0 if isinstance(fusion, RRF) else 1e-9
    assert fuse(fusion, raised)[doc] >= fuse(fusion, table)[doc] - rounding


@given(
    table=tables(ordinary), doc=st.sampled_from(DOCS), source=st.sampled_from(SOURCES), new=ordinary
)
@of(FUSIONS[:4] + FUSIONS[5:7])
def test_being_found_never_lowers(fusion, table, doc, source, new):
    """RRF and both kinds of min-max: being found by one more source never lowers a document."""
    assume(doc not in table[source])
    before = fuse(fusion, table).get(doc, 0.0)
    found = {**table, source: {**table[source], doc: new}}
    assert fuse(fusion, found)[doc] >= before - 1e-9


@given(table=tables(any_finite), low=st.none() | any_finite)
@every_fusion
def test_agreement_preserved(fusion, table, low):
    """A document at least as good as another in every source is never fused below it.

    At least as good: found with a score as high, in front of it, or the other was not found.
    """
    fused = fuse(fusion, table, low)
    ranks = {
        source: {hit.key: rank for rank, hit in enumerate(hits(scores), start=1)}
        for source, scores in table.items()
    }
    for ahead in fused:
        for behind in fused:
            if all(ranks[s].get(ahead, 99) <= ranks[s].get(behind, 99) for s in SOURCES):
                assert fused[ahead] >= fused[behind]


@given(order=st.permutations(DOCS))
@every_fusion
def test_agreeing_sources_give_their_order(fusion, order):
    """If all sources agree on an order, fusion returns that order, without ties."""
    table = {
        source: {key: scale * (9.0 - place) for place, key in enumerate(order)}
        for source, scale in zip(SOURCES, (1, 0.01, 40), strict=True)
    }
    fused = fuse(fusion, table)
    assert sorted(order, key=lambda key: -fused[key]) == list(order)
    assert len(set(fused.values())) == len(order)


@given(table=tables(st.integers(-1000, 1000).map(float)), power=st.integers(-40, 40))
@every_fusion
def test_scaling_changes_no_bit(fusion, table, power):
    """Scores of one source multiplied by a power of two: not one bit of the result differs."""
    scaled = {**table, "dense": {key: s * 2.0**power for key, s in table["dense"].items()}}
    assert fuse(fusion, table) == fuse(fusion, scaled)


@given(
    table=tables(st.integers(-1000, 1000).map(float)),
    scale=st.floats(0.01, 100),
    shift=st.floats(-1000, 1000),
)
@of([f for f in FUSIONS if "Theoretical" not in repr(f)])
def test_affine_maps_change_nothing(fusion, table, scale, shift):
    """RRF, min-max and z-score: scaling and shifting a source's scores changes only rounding."""
    mapped = {**table, "bm25": {key: s * scale + shift for key, s in table["bm25"].items()}}
    assert fuse(fusion, mapped) == pytest.approx(fuse(fusion, table), abs=1e-6)


@given(table=tables(st.integers(-300, 300).map(float)))
@of(FUSIONS[:2])
def test_rrf_sees_only_the_order(fusion, table):
    """RRF: any increasing map of a source's scores changes nothing at all."""
    mapped = {**table, "dense": {key: math.exp(s) for key, s in table["dense"].items()}}
    assert fuse(fusion, table) == fuse(fusion, mapped)


@given(table=tables(any_finite), low=st.none() | any_finite)
@of(CONVEX[:2])
def test_min_max_stays_within_0_and_1(fusion, table, low):
    """Both kinds of min-max give scores within 0 and 1."""
    assert all(0 <= score <= 1 + 1e-12 for score in fuse(fusion, table, low).values())


@given(table=tables(ordinary))
@every_fusion
def test_scaling_weights_changes_nothing_for_convex(fusion, table):
    """Doubling all weights leaves convex scores as they are, and doubles RRF's."""
    weights = fusion.weights or dict.fromkeys(SOURCES, 1.0)
    doubled = replace(fusion, weights={name: 2 * weight for name, weight in weights.items()})
    factor = 2 if isinstance(fusion, RRF) else 1
    expected = {key: factor * score for key, score in fuse(fusion, table).items()}
    assert fuse(doubled, table) == expected
