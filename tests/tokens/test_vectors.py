import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runoff._tokens.vectors import TokenVectors, cosines, maxsim, quantised


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1)[:, None]


def made(random, tokens, dims):
    vectors = random.normal(size=(tokens, dims)).astype(np.float32)
    codes, scales = quantised(vectors)
    return vectors, TokenVectors(codes, scales, np.arange(tokens, dtype=np.int32))


def test_a_rounded_vector_is_one_long_and_points_the_same_way():
    """Codes times scale have length 1, and the cosine with the original is .999 or more."""
    random = np.random.default_rng(0)
    for dims in (2, 128, 384):
        vectors, held = made(random, 40, dims)
        back = held.codes * held.scales[:, None]
        np.testing.assert_allclose(np.linalg.norm(back, axis=1), 1.0, atol=1e-6)
        assert ((unit(vectors) * back).sum(axis=1) > 0.999).all()


def test_a_vector_of_zeros_matches_nothing():
    """It stays zero, and its cosine with anything is 0."""
    codes, scales = quantised(np.zeros((1, 4), np.float32))
    held = TokenVectors(codes, scales, np.zeros(1, np.int32))
    assert not codes.any()
    assert maxsim(np.eye(4, dtype=np.float32), np.ones(4, np.float32), [held]).tolist() == [0.0]


@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=8),
    asked=st.integers(1, 40),
    dims=st.sampled_from([3, 16, 130]),
    seed=st.integers(0, 2**32 - 1),
)
def test_maxsim_is_the_weighted_mean_of_the_best_cosines(sizes, asked, dims, seed):
    """It agrees with a loop over tokens, whatever the sizes, and lies within -1 and 1."""
    random = np.random.default_rng(seed)
    documents = [made(random, size, dims)[1] for size in sizes]
    query = unit(random.normal(size=(asked, dims))).astype(np.float32)
    weights = random.uniform(0.1, 5, asked).astype(np.float32)
    expected = [
        math.fsum(
            float(weight) * max(float(np.dot(token, code * scale)) for code, scale in
                                zip(one.codes.astype(float), one.scales, strict=True))
            for token, weight in zip(query, weights, strict=True)
        ) / math.fsum(weights.tolist())
        for one in documents
    ]  # fmt: skip
    found = maxsim(query, weights, documents)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert (np.abs(found) <= 1).all()
    alone = [maxsim(query, weights, [one])[0] for one in documents]
    np.testing.assert_allclose(found, alone, atol=1e-6)


def test_many_and_long_documents_are_compared_in_blocks():
    """More tokens than a block holds, and a document longer than one, change no score."""
    random = np.random.default_rng(1)
    documents = [made(random, size, 16)[1] for size in (5, 5000, 1, 1500, 1500, 9)]
    query = unit(random.normal(size=(6, 16))).astype(np.float32)
    weights = np.ones(6, np.float32)
    expected = [cosines(query, one).max(axis=1).mean() for one in documents]
    np.testing.assert_allclose(maxsim(query, weights, documents), expected, atol=1e-6)


def test_no_documents():
    """Nothing to compare is no error."""
    assert maxsim(np.eye(3, dtype=np.float32), np.ones(3, np.float32), []).shape == (0,)


@pytest.mark.slow("5 s: measured times")
@pytest.mark.parametrize(("count", "bound"), [(50, 5.0), (1000, 60.0)])
def test_it_is_fast(count, bound):
    """The processor time for 80 tokens of 384 dimensions a document and 8 of the query."""
    import time

    random = np.random.default_rng(2)
    documents = [made(random, 80, 384)[1] for _ in range(count)]
    query = unit(random.normal(size=(8, 384))).astype(np.float32)
    spent = []
    for _ in range(7):
        begun = time.process_time()
        maxsim(query, np.ones(8, np.float32), documents)
        spent.append(time.process_time() - begun)
    assert min(spent) * 1000 < bound
