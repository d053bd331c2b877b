"""Documents are encoded once for dense retrieval and late interaction."""

import numpy as np
import pytest

from runoff._onnx import sessions
from runoff.errors import InvalidArgument
from runoff.recall import Dense, Embedder
from runoff.rerank import LateInteraction, TokenStore

TEXTS = ["alpha beta", "", "gamma " * 300, "zeta. eta!"]


@pytest.fixture
def folder(tiny, tmp_path):
    return tiny.save(tmp_path / "encoder", output="last_hidden_state")


@pytest.fixture
def late(folder):
    return LateInteraction(folder, store=TokenStore())


@pytest.fixture
def runs(monkeypatch):
    """The number of times that a model was run."""
    counted, run_all = [], sessions.Loaded.run_all

    def counting(*given, **named):
        counted.append(1)
        return run_all(*given, **named)

    monkeypatch.setattr(sessions.Loaded, "run_all", counting)
    return counted


def test_one_pass_gives_both(folder, late, runs):
    """Pooled and token vectors are to the bit those of two passes, and the scorer runs no more."""
    plain = Embedder(folder)(TEXTS)
    alone = LateInteraction(folder, store=TokenStore())
    expected = alone.score([("alpha", text) for text in TEXTS])
    embedder = Embedder(folder, late=late)
    embedder.warmup()
    late.warmup()
    runs.clear()
    found = embedder.embed(TEXTS)
    assert len(runs) == 3 + 3, "one for each text, and two for further windows"
    np.testing.assert_array_equal(found.values, plain)
    scores = late.score([("alpha", text) for text in TEXTS])
    assert len(runs) == 7, "the query"
    np.testing.assert_array_equal(scores.values, expected.values)
    assert found.truncated.tolist() == [False, False, True, False]


def test_known_documents_are_not_encoded_again(folder, late, runs):
    """A text that is in the store costs the run of its embedding alone."""
    embedder = Embedder(folder, late=late)
    embedder(TEXTS)
    runs.clear()
    embedder(TEXTS)
    assert len(runs) == 4


def test_queries_are_not_stored(folder, late):
    """`embed_query` leaves the store as it is, and an index fills it."""
    index = Dense(TEXTS, Embedder(folder, late=late))
    assert len(late.store) == 3, "blank documents are not embedded"
    Embedder(folder, late=late).embed_query("alpha")
    assert len(late.store) == 3
    assert len(index) == 4


async def test_awaiting_fills_the_store_too(folder, late):
    """`aembed` does what `embed` does."""
    found = await Embedder(folder, late=late).aembed(TEXTS)
    np.testing.assert_array_equal(found.values, Embedder(folder)(TEXTS))
    assert len(late.store) == 4


def test_another_model_cannot_share_the_pass(tiny, tmp_path, folder, late):
    """A scorer of another model or length is refused, and so is what is no scorer."""
    other = tiny.save(tmp_path / "other", output="last_hidden_state", seed=1)
    with pytest.raises(InvalidArgument, match="the same model"):
        Embedder(other, late=late)(TEXTS)
    with pytest.raises(InvalidArgument, match="the same model"):
        Embedder(folder, max_length=32, late=late)(TEXTS)
    with pytest.raises(InvalidArgument, match="late"):
        Embedder(folder, late="tokens")
