"""Rough products, which choose the rows that a dense search scores exactly."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from words import documents, told

from runoff.recall import Dense
from runoff.recall._dense import kept, nearest, products
from runoff.recall._dense.packed import packed
from runoff.types import Query


@pytest.fixture
def sketched(monkeypatch):
    """Have indexes of 8 rows and more keep a sketch."""
    monkeypatch.setattr(kept, "_MANY", 8)


def no_vector(texts):
    raise AssertionError(texts)


def index(rows, **options):
    return Dense(documents(len(rows)), no_vector, embeddings=rows, **options)


def asked(vector):
    return Query("?", embedding=tuple(np.asarray(vector, float).tolist()))


def best(rows, query, depth):
    """Return the documents of the largest cosines."""
    rows = np.asarray(rows, np.float32).astype(float)
    cosines = rows @ query / np.linalg.norm(rows, axis=1)
    return [f"d{at}" for at in np.argsort(-cosines, kind="stable")[:depth]]


@pytest.mark.parametrize(
    ("count", "dimension"), [(1, 1), (64, 3), (65, 7), (300, 384), (33_000, 5), (70, 1001)]
)
def test_whole_products_are_exact(count, dimension):
    """Products of the largest and of any whole numbers are those of 64-bit integers."""
    random = np.random.default_rng(count)
    rows = random.integers(-127, 128, (count, dimension)).astype(np.int8)
    rows[0], rows[count // 2] = 127, -127
    tiles = kept.Tiles.empty(count, dimension)
    tiles.put(0, packed(rows.astype(float), "int8", unit=False)._replace(rows=rows))
    for query in (
        np.full(dimension, 63.0),
        np.full(dimension, -63.0),
        random.integers(-63, 64, dimension).astype(float),
    ):
        found = products.products(query, tiles.numbers, tiles.shifts)
        assert found.tolist() == (rows.astype(np.int64) @ query.astype(np.int64)).tolist()


def test_the_graph_is_valid():
    """The model that is written by hand passes the checks of ONNX, and has one MatMulInteger."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(products._graph())
    onnx.checker.check_model(model)
    assert [one.op_type for one in model.graph.node] == ["MatMulInteger"]


@pytest.mark.parametrize("stored", ["float32", "int8"])
@given(
    seed=st.integers(0, 10_000),
    shape=st.tuples(st.sampled_from([8, 9, 200]), st.sampled_from([1, 2, 30])),
    scale=st.sampled_from([1e-40, 1e-20, 1.0, 1e30]),
    peak=st.sampled_from([1.0, 50.0]),
)
@settings(max_examples=40)
def test_no_product_is_further_off_than_its_error(stored, seed, shape, scale, peak):
    """Every rough product differs from the float64 product by at most the error that is told."""
    random = np.random.default_rng(seed)
    rows = random.standard_normal(shape)
    rows[:, 0] *= peak
    rows[::5] *= random.choice([0, 1e-3, 1e3])
    query = random.standard_normal(shape[1]) * random.choice([1, 1, 1, 1e-3], shape[1])
    query /= np.abs(query).max()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept, "_MANY", 8)
        vectors = kept.kept(packed(rows * scale, stored, unit=False), stored)
    wide = vectors.take(np.arange(len(rows))).wide()
    lengths, exact = np.linalg.norm(wide, axis=1), wide @ query
    looks = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept, "_MANY", 8)
        for found, error in vectors.rough(query, lengths):
            assert (np.abs(found - exact) <= error).all()
            looks += 1
    assert looks == 2


@pytest.mark.parametrize("stored", ["float32", "int8"])
def test_one_rough_product_is_enough_for_usual_vectors(stored, monkeypatch):
    """Among 5,000 directions at random, the first product leaves few rows, and the best are found.

    Among 5,000 that differ by next to nothing, the second follows, and the best are still found.
    """
    looks = []

    def counted(*arguments):
        for one in rough(*arguments):
            looks.append(one)
            yield one

    rough = nearest._rough
    monkeypatch.setattr(nearest, "_rough", counted)
    random = np.random.default_rng(4)
    apart = random.standard_normal((5000, 64)).astype(np.float32)
    alike = (random.standard_normal(64) + 1e-4 * random.standard_normal((5000, 64))).astype("f4")
    query = random.standard_normal(64)
    for rows, many in ((apart, 1), (alike, 2)):
        source = index(rows, stored=stored)
        looks.clear()
        found = source.retrieve(asked(query), depth=10)
        assert len(looks) == many
        assert told(found) == told(source.retrieve(asked(query), depth=5000))[:10]


@pytest.mark.usefixtures("sketched")
def test_a_sketch_follows_every_change():
    """Adding past the limit, one by one or many, replacing, deleting and copying keep it true."""
    random = np.random.default_rng(5)
    rows = random.standard_normal((200, 24)).astype(np.float32)
    held = documents(200)
    source = index(rows[:3])
    source.add(held[3:120], embeddings=rows[3:120])
    for at in range(120, 150):
        source.add([held[at]], embeddings=rows[at : at + 1])
    source.add(held[150:], embeddings=rows[150:])
    source.delete([f"d{at}" for at in range(0, 200, 7)])
    rows[::7] = random.standard_normal(rows[::7].shape)
    source.add(held[::7], embeddings=rows[::7])
    rows[5] = -rows[5]
    source.add([held[5]], embeddings=rows[5:6])
    for one in (source, copy.deepcopy(source), pickled(source)):
        assert one._rows.view.vectors._sketch is not None
        for query in (*random.standard_normal((10, 24)), rows[5], rows[7], rows[199]):
            expected = best(rows, query, 5)
            assert [hit.doc_id for hit in one.retrieve(asked(query), depth=5)] == expected


def pickled(source):
    again = pickle.loads(pickle.dumps(source._rows))
    other = copy.copy(source)
    other._rows = again
    return other


def test_small_indexes_need_no_session(monkeypatch):
    """A float32 index of fewer than 4,096 rows never loads onnxruntime, and a larger one does."""
    opened = []
    monkeypatch.setattr(products, "warmup", lambda: opened.append(1))
    rows = np.eye(8, dtype=np.float32)[np.arange(4095) % 8]
    source = index(rows)
    source._rows.view.vectors.warmup()
    source.add([*documents(4096)[4095:]], embeddings=rows[:1])
    assert opened == [1]


def test_vectors_too_long_for_int32_are_searched_all_the_same(monkeypatch):
    """Where products could leave int32, every row is scored exactly."""
    random = np.random.default_rng(6)
    rows = random.standard_normal((300, 16)).astype(np.float32)
    query = random.standard_normal(16)
    expected = told(index(rows, stored="int8").retrieve(asked(query), depth=9))
    monkeypatch.setattr(kept, "_LONGEST", 15)
    monkeypatch.setattr(products, "products", no_vector)
    assert told(index(rows, stored="int8").retrieve(asked(query), depth=9)) == expected
