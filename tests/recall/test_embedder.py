import asyncio
import copy
import dataclasses
import json
import logging
import pickle
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from runoff._onnx import languages, sessions, slots
from runoff._onnx.resolve import resolve
from runoff._onnx.tokens import TextEncoder
from runoff.deadline import Deadline
from runoff.errors import (
    DeadlineExceeded,
    EmbeddingError,
    InvalidArgument,
    ModelDamaged,
    ModelNotFound,
)
from runoff.recall._dense.embedder import Embedder

TEXTS = ["alpha", "beta gamma", "", "alpha beta gamma delta " * 5]
MEAN = {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
CLS = {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}


@pytest.fixture
def pooled(tiny, tmp_path):
    """A model whose graph ends in one vector of unit length."""
    return tiny.save(tmp_path / "pooled", output="sentence_embedding")


@pytest.fixture
def hidden(tiny, tmp_path):
    """A model whose graph ends in token vectors."""
    return tiny.save(tmp_path / "hidden", output="last_hidden_state")


def modules(directory, *names, pooling=None):
    listed = [
        {"idx": n, "type": f"sentence_transformers.models.{name}"} for n, name in enumerate(names)
    ]
    (directory / "modules.json").write_text(json.dumps(listed))
    if pooling is not None:
        (directory / "1_Pooling").mkdir(exist_ok=True)
        (directory / "1_Pooling" / "config.json").write_text(json.dumps(pooling))


def token_vectors(directory, text):
    loaded = sessions.load(resolve(directory))
    return loaded.run(TextEncoder(loaded.tokenizer, 128).text(text), "last_hidden_state")[0]


def test_n_texts_have_n_vectors(pooled):
    """Calling it gives float32 of shape (n, d), in the order of the texts."""
    embedder = Embedder(pooled)
    values = embedder(TEXTS)
    assert (values.dtype, values.shape) == (np.float32, (4, 16))
    np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1, atol=1e-5)
    assert values.tolist() == [embedder([text])[0].tolist() for text in TEXTS]


def test_no_texts_have_no_vectors(pooled):
    """An empty list gives shape (0, d)."""
    assert Embedder(pooled)([]).shape == (0, 16)


def test_a_graph_that_pools_gives_what_pooling_gives(pooled, hidden):
    """Mean pooling and unit length done here equal the same done in the graph."""
    np.testing.assert_allclose(Embedder(hidden)(TEXTS), Embedder(pooled)(TEXTS), atol=1e-6)


@pytest.mark.parametrize(
    ("pooling", "pick"),
    [
        (MEAN, lambda vectors: vectors.mean(axis=0)),
        (CLS, lambda vectors: vectors[0]),
        ({"pooling_mode": "cls"}, lambda vectors: vectors[0]),
        ({"pooling_mode": "mean"}, lambda vectors: vectors.mean(axis=0)),
    ],
)
@pytest.mark.parametrize("normalised", [True, False])
def test_pooling_and_length_follow_the_model(hidden, pooling, pick, normalised):
    """The settings in modules.json and 1_Pooling/config.json are followed."""
    modules(hidden, "Transformer", "Pooling", *["Normalize"] * normalised, pooling=pooling)
    expected = pick(token_vectors(hidden, TEXTS[1]))
    if normalised:
        expected = expected / np.linalg.norm(expected)
    np.testing.assert_allclose(Embedder(hidden)([TEXTS[1]])[0], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("names", "pooling", "named"),
    [
        (("Transformer", "Pooling"), {"pooling_mode_max_tokens": True}, "max_tokens"),
        (("Transformer", "Pooling"), {**MEAN, "pooling_mode_cls_token": True}, "cls_token"),
        (("Transformer", "Pooling"), {"pooling_mode": "lasttoken"}, "lasttoken"),
        (("Transformer", "Pooling", "Dense"), MEAN, "Dense"),
    ],
)
def test_unknown_pooling_is_refused(hidden, names, pooling, named):
    """A model that pools in another way is refused by name, not embedded wrongly."""
    modules(hidden, *names, pooling=pooling)
    with pytest.raises(InvalidArgument, match=f"{named}.*is not supported"):
        Embedder(hidden).warmup()


@pytest.mark.parametrize("options", [{}, {"labels": 2}])
def test_a_cross_encoder_is_refused(tiny, tmp_path, options):
    """A model that gives one score for a text is refused."""
    with pytest.raises(InvalidArgument, match="must be an embedding model"):
        Embedder(tiny.save(tmp_path / "m", **options)).warmup()


def test_truncation_and_tokens_are_counted(pooled):
    """`embed` says which texts lost tokens and how many tokens were read."""
    made = Embedder(pooled, max_length=8).embed(["alpha beta", "alpha " * 100])
    assert made.truncated.tolist() == [False, True]
    assert made.tokens == 4 + 8


def test_the_limit_is_the_models(pooled):
    """sentence_bert_config.json states the token limit."""
    (pooled / "sentence_bert_config.json").write_text('{"max_seq_length": 6}')
    assert Embedder(pooled).embed(["alpha " * 50]).tokens == 6


def test_progress_counts_the_texts(pooled):
    """The callback ends at (n, n), in the caller's thread."""
    calls = []
    Embedder(pooled).embed(
        ["alpha beta"] * 50,
        progress=lambda done, total: calls.append((done, total, threading.get_ident())),
    )
    assert calls[-1] == (50, 50, threading.get_ident())


async def test_a_query_is_a_text(pooled):
    """One text gives one vector, called or awaited, the same as in a list."""
    embedder = Embedder(pooled)
    expected = embedder(["alpha beta"])[0].tolist()
    assert embedder.embed_query("alpha beta").tolist() == expected
    assert (await embedder.aembed_query("alpha beta")).tolist() == expected
    assert (await embedder.aembed(["alpha beta"])).values[0].tolist() == expected


async def test_a_query_keeps_the_deadline(tiny, tmp_path):
    """A query that is not embedded in time raises, called or awaited."""
    embedder = Embedder(tiny.save(tmp_path / "slow", output="sentence_embedding", work=200))
    embedder.warmup()
    with pytest.raises(DeadlineExceeded):
        embedder.embed_query("alpha " * 100, deadline=Deadline(0.001))
    with pytest.raises(DeadlineExceeded):
        await embedder.aembed_query("alpha " * 100, deadline=Deadline(0.001))


@pytest.mark.parametrize("awaited", [False, True])
def test_loading_does_not_count(pooled, monkeypatch, awaited):
    """A model that loads longer than the budget still embeds the query within it."""
    sessions.forget()
    load = sessions.load

    def slowly(files):
        time.sleep(0.5)
        return load(files)

    monkeypatch.setattr(sessions, "load", slowly)
    embedder, deadline = Embedder(pooled), Deadline(0.4)
    if awaited:
        vector = asyncio.run(embedder.aembed_query("alpha", deadline=deadline))
    else:
        vector = embedder.embed_query("alpha", deadline=deadline)
    assert vector.shape == (16,)


def test_vectors_that_are_not_finite_are_an_error(tiny, tmp_path):
    """NaN and infinity never enter an index; the text is named."""
    embedder = Embedder(tiny.save(tmp_path / "m", output="sentence_embedding", broken=True))
    with pytest.raises(EmbeddingError, match=r"texts\[0\] contains NaN"):
        embedder(["alpha"])


@pytest.mark.parametrize("text", ["", " ", "\x00", "\ud800", "🎉", "a" * 10_000_000])
def test_strange_texts_have_embeddings(pooled, text):
    """Empty, huge and malformed texts have an embedding."""
    assert np.isfinite(Embedder(pooled)([text])).all()


@pytest.mark.parametrize("texts", ["alpha", b"alpha", ["alpha", None], [b"alpha"], [["alpha"]]])
def test_texts_are_a_list_of_strings(pooled, texts):
    """One text in place of a list, and anything but strings in it, are refused."""
    with pytest.raises(InvalidArgument, match="texts"):
        Embedder(pooled)(texts)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("model", ""), ("precision", "int4"), ("max_length", 0), ("revision", 3)],
)
def test_wrong_arguments_are_refused_at_once(argument, value):
    """A wrong argument is named when the object is made."""
    with pytest.raises(InvalidArgument) as caught:
        Embedder(**{argument: value})
    assert caught.value.argument == argument


def test_missing_and_corrupt_files_are_named(pooled):
    """A directory without tokenizer and a corrupt graph have their own errors."""
    (pooled / "model.onnx").write_bytes(b"junk")
    with pytest.raises(ModelDamaged):
        Embedder(pooled)(["alpha"])
    (pooled / "tokenizer.json").unlink()
    with pytest.raises(ModelNotFound):
        Embedder(pooled)(["alpha"])


def test_it_is_frozen_configuration(pooled):
    """Copies compare equal, hold no model, and never load again."""
    embedder = Embedder(pooled)
    fresh = len(pickle.dumps(embedder))
    expected = embedder(TEXTS).tolist()
    assert len(pickle.dumps(embedder)) == fresh
    loaded = sessions.load(resolve(pooled))
    for again in (
        pickle.loads(pickle.dumps(embedder)),
        copy.deepcopy(embedder),
        dataclasses.replace(embedder),
    ):
        assert again == embedder
        assert again(TEXTS).tolist() == expected
        assert again._load().loaded is loaded
    with pytest.raises(dataclasses.FrozenInstanceError):
        embedder.max_length = 3


def test_it_says_what_it_is(pooled):
    """Name, dimensions and identity are known; the identity holds the checksum."""
    embedder = Embedder(pooled)
    assert (embedder.name, embedder.dims) == (str(pooled), 16)
    assert embedder.identity.name == str(pooled)
    assert len(embedder.identity.revision) == 16


def test_an_english_model_warns_of_other_scripts(tiny, tmp_path, caplog, monkeypatch):
    """An English model given Chinese text notes it and logs it once."""
    monkeypatch.setattr(languages, "_warned", set())
    config = {"kind": "bi-encoder", "max_length": 64, "language": "en"}
    embedder = Embedder(tiny.save(tmp_path / "m", output="sentence_embedding", config=config))
    with caplog.at_level(logging.WARNING, "runoff"):
        made = [embedder.embed(["alpha", "机器学习"]) for _ in range(2)]
    assert "1 of 2 texts" in made[0].notes[0]
    assert len(caplog.records) == 1
    assert embedder.embed(["alpha"]).notes == ()


async def test_a_cancelled_call_leaves_the_queue(tiny, tmp_path):
    """After a cancellation the queue is empty."""
    embedder = Embedder(tiny.save(tmp_path / "m", output="sentence_embedding", work=40))
    embedder.warmup()
    call = asyncio.create_task(embedder.aembed(["alpha beta " * 50] * 2000))
    await asyncio.sleep(0.05)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not slots.shared()._calls


def test_importing_it_loads_no_runtime():
    """Making an embedder imports neither onnxruntime nor tokenizers."""
    code = (
        "import sys\n"
        "from runoff.recall._dense.embedder import Embedder\n"
        "Embedder()\n"
        "print([n for n in ('onnxruntime', 'tokenizers', 'huggingface_hub') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.strip() == "[]"


def test_the_embedded_model_knows_what_is_alike():
    """The embedded bi-encoder gives 384 numbers of unit length, and alike texts are close."""
    pytest.importorskip("runoff_models", reason="the embedded models are not installed")
    values = Embedder()(["read a csv file", "parse comma separated values", "ripe bananas"])
    assert values.shape == (3, 384)
    np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1, atol=1e-5)
    assert values[0] @ values[1] > values[0] @ values[2] + 0.2
