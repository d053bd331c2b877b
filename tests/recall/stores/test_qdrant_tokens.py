"""Late interaction inside Qdrant: token vectors that a collection has, in a real local mode."""

import uuid

import numpy as np
import pytest
from words import embed

from runoff._tokens.vectors import TokenVectors, maxsim, quantised
from runoff.errors import EmbeddingError, InvalidArgument
from runoff.filters import Eq
from runoff.recall import Qdrant
from runoff.testing.contracts import RecallSourceContract
from runoff.types import Document, Query

qdrant_client = pytest.importorskip("qdrant_client", reason="the client of Qdrant is not installed")
models = pytest.importorskip("qdrant_client.models")

MAXSIM = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
generator = np.random.default_rng(7)


def words(text):
    """A vector for each word of a text."""
    return [embed([word])[0].tolist() for word in text.split()]


@pytest.fixture(scope="module")
def client():
    made = qdrant_client.QdrantClient(":memory:")
    yield made
    made.close()


def fill(client, held, *, size, distance="Cosine", name="tokens"):
    """Make a collection with a list of token vectors for each document, by the document."""
    made = f"collection-{uuid.uuid4().hex}"
    tokens = models.VectorParams(size=size, distance=distance, multivector_config=MAXSIM)
    client.create_collection(made, vectors_config={name: tokens})
    points = [
        models.PointStruct(
            id=number,
            vector={name: np.asarray(vectors).tolist()},
            payload={"text": one.text, "metadata": dict(one.metadata), "key": one.doc_id},
        )
        for number, (one, vectors) in enumerate(held)
    ]
    if points:
        client.upsert(made, points)
    return made


class TestContract(RecallSourceContract):
    """A collection searched by token vectors keeps the contract of a source."""

    @pytest.fixture(autouse=True)
    def _client(self, client):
        self.client = client

    def make(self, documents):
        held = [(one, words(one.text)) for one in documents if one.text.strip()]
        size = len(embed(["a"])[0])
        name = fill(self.client, held, size=size, distance="Dot")
        return Qdrant(self.client, name, search="tokens", token_embed=words, id="key")


@pytest.mark.parametrize("distance", ["Cosine", "Dot"])
def test_scores_are_those_of_late_interaction(client, distance):
    """Qdrant's MaxSim is ours with equal weights, and so is its order, within 1e-4."""
    documents = []
    for number in range(40):
        codes, scales = quantised(generator.normal(size=(number % 7 + 1, 16)).astype(np.float32))
        ids = np.zeros(len(codes), np.int32)
        documents.append(TokenVectors(codes, scales, ids))
    held = [
        (Document(f"d{at}", f"text {at}", {"even": at % 2 == 0}), one.codes * one.scales[:, None])
        for at, one in enumerate(documents)
    ]
    asked = generator.normal(size=(5, 16)).astype(np.float32)
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    ours = maxsim(asked, np.ones(5, np.float32), documents)
    name = fill(client, held, size=16, distance=distance)
    source = Qdrant(client, name, search="tokens", token_embed=lambda _: asked, id="key")
    found = source.retrieve(Query("what"), depth=40)
    assert [hit.doc_id for hit in found] == [f"d{at}" for at in np.argsort(-ours)]
    assert [hit.score for hit in found] == pytest.approx(np.sort(ours)[::-1], abs=1e-4)
    filtered = source.retrieve(Query("what", Eq("even", value=True)), depth=5)
    evens = [f"d{at}" for at in np.argsort(-ours) if at % 2 == 0]
    assert [hit.doc_id for hit in filtered] == evens[:5]
    expected = (-1.0, 1.0) if distance == "Cosine" else (None, None)
    assert {hit.score_range for hit in found} == {expected}


def test_a_blank_query_finds_nothing(client):
    """Neither a blank text nor one without a token asks the engine."""
    name = fill(client, [(Document("a", "fish"), [[1.0, 0.0]])], size=2)
    source = Qdrant(client, name, search="tokens", token_embed=lambda _: np.empty((0, 2)))
    assert source.retrieve(Query(" ", embedding=(1.0, 0.0)), depth=3) == []
    assert source.retrieve(Query("fish"), depth=3) == []


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (None, "token_embed|expected numbers"),
        ([1.0, 2.0], "expected numbers"),
        ([[1.0, float("nan")]], "NaN"),
        ([[1.0, 2.0, 3.0]], "3 dimensions"),
        ([["a", "b"]], "expected numbers"),
    ],
)
def test_wrong_token_vectors_are_named(client, returned, said):
    """What `token_embed` must return is said when it returns something else."""
    name = fill(client, [(Document("a", "fish"), [[1.0, 0.0]])], size=2)
    source = Qdrant(client, name, search="tokens", token_embed=lambda _: returned)
    with pytest.raises(EmbeddingError, match=said):
        source.retrieve(Query("fish"), depth=1)


def test_wrong_arguments_are_named(client):
    """`token_embed` belongs to `search="tokens"`, which needs a multivector of Cosine or Dot."""
    for options, argument in (
        ({"search": "tokens"}, "token_embed"),
        ({"search": "tokens", "token_embed": 3}, "token_embed"),
        ({"search": "tokens", "token_embed": words, "embed": embed}, "embed"),
        ({"search": "tokens", "token_embed": words, "sparse_embed": words}, "sparse_embed"),
        ({"embed": embed, "token_embed": words}, "token_embed"),
    ):
        with pytest.raises(InvalidArgument) as caught:
            Qdrant(client, "docs", **options)
        assert caught.value.argument == argument
    far = fill(client, [], size=2, distance="Euclid")
    near = fill(client, [], size=2)
    for name, vector, said in ((far, None, "Euclid"), (near, "other", "'tokens'")):
        source = Qdrant(client, name, search="tokens", token_embed=words, vector=vector)
        with pytest.raises(InvalidArgument, match=said):
            source.retrieve(Query("fish"), depth=1)


async def test_an_async_client_is_awaited():
    """The query's tokens are embedded in a worker thread, and the engine is awaited."""
    client = qdrant_client.AsyncQdrantClient(":memory:")
    tokens = models.VectorParams(size=2, distance="Dot", multivector_config=MAXSIM)
    await client.create_collection("docs", vectors_config=tokens)
    point = models.PointStruct(id=1, vector=[[1.0, 0.0], [0.0, 2.0]], payload={"text": "fish"})
    await client.upsert("docs", [point])
    asked = [[3.0, 0.0], [0.0, 1.0]]
    source = Qdrant(client, "docs", search="tokens", token_embed=lambda _: asked)
    (hit,) = await source.aretrieve(Query("fish"), depth=2)
    assert (hit.doc_id, hit.score) == ("1", 2.5)
    await client.close()
