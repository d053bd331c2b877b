"""Scores equal those of bm25s and rank_bm25."""

import subprocess
import sys

import bm25s
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runoff import Query
from runoff.errors import MissingExtra
from runoff.recall import BM25
from runoff.recall._bm25.engine import EagerScores
from runoff.recall._bm25.formula import Formula

rank_bm25 = pytest.importorskip("rank_bm25")

METHODS = ("lucene", "robertson", "atire", "bm25l", "bm25+")
TEXTS = [
    "a b c d",
    "a a b e",
    "a f",
    "g",
    "",
    "a b b b b b b b b b b b b h i j k l m n o p",
    "a e e e q",
    "a c c",
]
ASKED = ("a", "b e", "c c q", "a b c d e f g h", "g zzz", "h a a")

corpora = st.lists(
    st.lists(st.sampled_from("abcdefgh"), max_size=12).map(" ".join), min_size=1, max_size=20
).filter(any)


def numbered(texts):
    return [(f"{n:03}", text) for n, text in enumerate(texts)]


def theirs(texts, method, **options):
    model = bm25s.BM25(method=method, **options)
    model.index([text.split() for text in texts], show_progress=False)
    return model


@pytest.mark.parametrize("method", METHODS)
@given(texts=corpora, k1=st.floats(0.001, 3), b=st.floats(0, 1), delta=st.floats(0, 2))
def test_every_posting_scores_as_in_bm25s(method, texts, k1, b, delta):
    """All precomputed scores are those of bm25s' own index, for every method and parameter."""
    ours = BM25(numbered(texts), analyzer=str.split, method=method, k1=k1, b=b, delta=delta)
    model = theirs(texts, method, k1=k1, b=b, delta=delta)
    snapshot = ours._current()
    main = snapshot.main
    for term, number in main.numbers.items():
        here = slice(*main.postings.starts[number : number + 2])
        column = model.vocab_dict[term]
        there = slice(*model.scores["indptr"][column : column + 2])
        assert main.postings.rows[here].tolist() == model.scores["indices"][there].tolist()
        np.testing.assert_allclose(
            snapshot.scoring.scores[here], model.scores["data"][there], rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("asked", ASKED)
def test_answers_are_those_of_bm25s(method, asked):
    """Every hit has bm25s' score, and every document that shares a token is one."""
    index = BM25(numbered(TEXTS), analyzer=str.split, method=method)
    scores = theirs(TEXTS, method, k1=1.2, b=0.75).get_scores(asked.split())
    hits = {hit.doc_id: hit.score for hit in index.retrieve(Query(asked), depth=100)}
    sharing = {f"{n:03}" for n, text in enumerate(TEXTS) if set(text.split()) & set(asked.split())}
    assert set(hits) == sharing
    for doc_id, score in hits.items():
        assert score == pytest.approx(float(scores[int(doc_id)]), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("asked", ASKED)
def test_bm25_plus_is_that_of_rank_bm25(asked):
    """Our "bm25+" scores as rank_bm25's BM25Plus does, document by document."""
    index = BM25(numbered(TEXTS), analyzer=str.split, method="bm25+", k1=1.5, delta=1)
    oracle = rank_bm25.BM25Plus([text.split() for text in TEXTS])
    expected = oracle.get_scores(asked.split())
    hits = index.retrieve(Query(asked), depth=100)
    assert hits
    for hit in hits:
        assert hit.score == pytest.approx(expected[int(hit.doc_id)], rel=1e-5)


@given(texts=corpora, asked=st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=5))
def test_robertson_is_okapi_where_weights_are_positive(texts, asked):
    """Our "robertson" is rank_bm25's Okapi over (k1 + 1) for words in less than half the texts."""
    split = [text.split() for text in texts]
    rare = [one for one in asked if sum(one in words for words in split) * 2 < len(split)]
    index = BM25(numbered(texts), analyzer=str.split, method="robertson")
    expected = rank_bm25.BM25Okapi(split, k1=1.2).get_scores(rare) / 2.2
    for hit in index.retrieve(Query(" ".join(rare) or "zzz"), depth=100):
        assert hit.score == pytest.approx(expected[int(hit.doc_id)], rel=1e-5)


@given(texts=corpora, asked=st.lists(st.sampled_from("abcdefghz"), min_size=1, max_size=5))
def test_the_okapi_engine_is_rank_bm25(texts, asked):
    """The engine rank-bm25 scores as `BM25Okapi` does, and finds documents that share a token."""
    split = [text.split() for text in texts]
    index = BM25(numbered(texts), analyzer=str.split, engine="rank-bm25", k1=1.5)
    hits = index.retrieve(Query(" ".join(asked)), depth=100)
    expected = rank_bm25.BM25Okapi(split).get_scores(asked)
    assert {hit.doc_id for hit in hits} == {
        f"{n:03}" for n, words in enumerate(split) if set(words) & set(asked)
    }
    for hit in hits:
        assert hit.score == pytest.approx(expected[int(hit.doc_id)], rel=1e-9, abs=1e-12)
        low, high = hit.score_range
        assert high is None
        assert low is None or hit.score >= low


@pytest.mark.parametrize(
    ("options", "lowest"),
    [({"method": "atire"}, 0.0), ({"method": "robertson"}, 0.0), ({"engine": "rank-bm25"}, None)],
)
def test_words_without_weight_are_found(options, lowest):
    """A real match counts as a hit when its weight is zero or below, last in the order."""
    index = BM25([("a", "x y"), ("b", "x"), ("c", "x x z"), ("d", "w")], **options)
    everywhere = BM25([("a", "x y"), ("b", "x")], **options)
    assert {hit.doc_id for hit in index.retrieve(Query("x"), depth=9)} == {"a", "b", "c"}
    hits = everywhere.retrieve(Query("x"), depth=9)
    assert {hit.doc_id for hit in hits} == {"a", "b"}
    assert all(hit.score <= 0 for hit in hits)
    assert hits[0].score_range[0] == lowest
    assert len(everywhere.retrieve(Query("x"), depth=1)) == 1


def test_a_document_without_words_is_no_hit_in_bm25_plus():
    """BM25+ scores absent words too, but a document without any query word is not a hit."""
    index = BM25(["alpha", "beta"], method="bm25+")
    assert len(index.retrieve(Query("alpha"), depth=9)) == 1


def test_missing_rank_bm25_names_the_extra(monkeypatch):
    """Without rank-bm25 installed, its engine names the pip command."""
    monkeypatch.setitem(sys.modules, "rank_bm25", None)
    with pytest.raises(MissingExtra, match=r'pip install "runoff\[rank-bm25\]"'):
        BM25(["text"], engine="rank-bm25").warmup()
    with pytest.raises(MissingExtra):
        BM25(engine="rank-bm25")


def test_numba_is_not_needed():
    """Searching works where numba and scipy cannot be imported, and loads neither."""
    code = (
        "import sys\n"
        "sys.modules.update(numba=None, scipy=None, jax=None)\n"
        "from runoff import Query\n"
        "from runoff.recall import BM25\n"
        "assert BM25(['some text']).retrieve(Query('text'), depth=1)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_scores_of_nothing():
    """An index without words has no scores, whatever the method."""
    for method in METHODS:
        formula = Formula("bm25s", method, 1.2, 0.75, 0.5)
        snapshot = BM25(["", "..."], method=method)._current()
        assert EagerScores.of(snapshot.main.postings, formula).scores.size == 0
