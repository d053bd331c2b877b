"""Late interaction: scores, weights, the store, deadlines and wherever else a scorer goes."""

import asyncio
import copy
import dataclasses
import itertools
import json
import logging
import math
import pickle
import threading

import numpy as np
import onnxruntime
import pytest
from parts import Listed

from runoff import Document, TwoStage
from runoff._onnx import languages, sessions
from runoff._tokens import held
from runoff._tokens.frequencies import Frequencies
from runoff.deadline import Deadline
from runoff.errors import IndexDamaged, InvalidArgument, ModelDamaged, RequestRejected
from runoff.protocols import AsyncPairScorer, Cacheable, Estimating, PairScorer, Warmable
from runoff.rerank import (
    Cached,
    Cascade,
    CrossEncoder,
    LateInteraction,
    MemoryCache,
    Pointwise,
    TokenStore,
)
from runoff.rerank._as_reranker import as_reranker
from runoff.scores import ScoreKind, Threshold

QUERY = "alpha, beta?"
DOCUMENTS = ["gamma delta", "alpha. beta", "beta " * 40, "alpha", "the zeta eta (theta) iota"]
PAIRS = [(QUERY, text) for text in DOCUMENTS]
LATIN = ["alpha beta", "gamma"]


@pytest.fixture
def folder(tiny, tmp_path):
    """A tiny encoder whose graph gives token vectors."""
    return tiny.save(tmp_path / "encoder", output="last_hidden_state")


@pytest.fixture
def scorer(folder):
    return LateInteraction(folder, store=TokenStore())


def vectors(tiny, folder, text):
    """Unit token vectors by onnxruntime alone: no special tokens, no punctuation."""
    tokenizer = tiny.tokenizer()
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    encoding = tokenizer.encode(text)
    feeds = {
        "input_ids": [encoding.ids],
        "attention_mask": [encoding.attention_mask],
        "token_type_ids": [encoding.type_ids],
    }
    (out,) = session.run(None, {name: np.array(one, np.int64) for name, one in feeds.items()})
    kept = [at for at, token in enumerate(encoding.ids) if token > 3]  # [UNK] is punctuation here
    rows = out[0][kept]
    return rows / np.linalg.norm(rows, axis=1)[:, None]


def settings(folder, **said):
    (folder / "late.json").write_text(json.dumps({"version": 1} | said))


def array(folder, name, values):
    np.asarray(values, "<f4").tofile(folder / name)
    return {"file": name, "shape": list(np.shape(values))}


def test_it_is_what_the_seams_ask_for(scorer):
    """It scores, can be awaited, cached, estimated and warmed up, and keeps the deadline."""
    for seam in (PairScorer, AsyncPairScorer, Cacheable, Estimating, Warmable):
        assert isinstance(scorer, seam)
    assert scorer.keeps_deadline


def test_scores_are_the_mean_of_the_best_cosines(tiny, folder, scorer):
    """Scores equal a plain computation within what rounding to int8 allows."""
    settings(folder, query={"skip": [1]}, document={"skip": [1]})  # tiny has no punctuation tokens
    found = scorer.score(PAIRS)
    asked = vectors(tiny, folder, QUERY)
    expected = [(asked @ vectors(tiny, folder, text).T).max(axis=1).mean() for text in DOCUMENTS]
    np.testing.assert_allclose(found.values, expected, atol=5e-3)
    assert found.values.dtype == np.float32
    assert found.kind is ScoreKind.SIMILARITY
    assert found.scored.all()
    assert not found.truncated.any()
    assert (found.model.precision, found.reason) == ("fp32", "")


def test_the_second_time_nothing_is_encoded(scorer):
    """Known documents and a known query cost no run of the model, and score the same bits."""
    first = scorer.score(PAIRS)
    again = scorer.score(PAIRS)
    assert first.usage.tokens > 0
    assert again.usage.tokens == 0
    assert again.usage.pairs == 5
    np.testing.assert_array_equal(first.values, again.values)


def test_equal_documents_are_encoded_once(scorer):
    """A text that occurs often in a call is one run."""
    once = scorer.score(PAIRS[:1]).usage.tokens
    fresh = dataclasses.replace(scorer, store=TokenStore())
    assert fresh.score(PAIRS[:1] * 20).usage.tokens == once
    assert len(fresh.store) == 1


async def test_awaiting_gives_the_same_scores(scorer):
    """`ascore` and `score` agree to the last bit."""
    found = await scorer.ascore(PAIRS)
    np.testing.assert_array_equal(found.values, scorer.score(PAIRS).values)


def test_pairs_may_span_queries(scorer):
    """Each pair is scored for its own query."""
    mixed = [(query, text) for text in DOCUMENTS for query in ("alpha", "zeta")]
    found = scorer.score(mixed)
    for query, at in (("alpha", 0), ("zeta", 1)):
        alone = scorer.score([(query, text) for text in DOCUMENTS])
        np.testing.assert_allclose(found.values[at::2], alone.values, atol=1e-6)


def test_blank_queries_are_not_scored(scorer):
    """A blank query leaves its pair without a score; nothing but blank ones is refused."""
    found = scorer.score([("alpha", "beta"), (" ", "beta")])
    assert found.scored.tolist() == [True, False]
    assert found.reason == "request_rejected"
    with pytest.raises(RequestRejected):
        scorer.score([(" ", "beta")])


def test_a_long_document_is_read_in_windows(tiny, folder):
    """Windows are read up to `max_windows`; the rest counts as truncated."""
    text = "alpha " * 200 + "zeta " * 60
    read = [
        LateInteraction(folder, max_length=64, max_windows=count, store=TokenStore())
        for count in (1, 4, 6)
    ]
    found = [one.score([("zeta", text)]) for one in read]
    assert [bool(one.truncated[0]) for one in found] == [True, True, False]
    assert found[0].values[0] < found[2].values[0]
    assert found[2].usage.tokens == 3 + 260 + 2 * 5  # five windows of 62 tokens and their ends


def test_only_punctuation_and_nothing(scorer):
    """A document or query without words keeps what there is, and has a score."""
    found = scorer.score([("alpha", ""), ("alpha", "?!"), ("?", "alpha")])
    assert found.scored.all()


def test_a_query_that_is_too_long_is_cut_and_said(folder):
    """The end of a long query is not read, and a note says so."""
    scorer = LateInteraction(folder, max_length=16, store=TokenStore())
    found = scorer.score([("alpha " * 50, "beta")])
    assert any("query is too long" in note for note in found.notes)


class Counted:
    """A store of the user's own: a collection of its own frequencies."""

    def __init__(self, frequencies):
        self.held, self.known = {}, frequencies

    def get(self, model, texts):
        return [self.held.get((model, text)) for text in texts]

    def put(self, model, texts, vectors):
        self.held |= {(model, text): one for text, one in zip(texts, vectors, strict=True)}

    def frequencies(self, model):
        return self.known


def test_rare_tokens_weigh_more_once_there_is_a_collection(folder, tiny):
    """With 200 documents in the store, query tokens weigh the root of their rarity."""
    vocabulary = tiny.tokenizer().get_vocab()
    counts = np.zeros(60, np.int64)
    counts[[vocabulary["alpha"], vocabulary["beta"]]] = [300, 3]
    many, few = Frequencies(300, counts), Frequencies(199, np.minimum(counts, 199))
    pair = [("alpha beta", "beta")]
    equal = LateInteraction(folder, weights="equal", store=Counted(many)).score(pair).values[0]
    small = LateInteraction(folder, store=Counted(few)).score(pair).values[0]
    idf = LateInteraction(folder, store=Counted(many)).score(pair).values[0]
    assert equal == small
    parts = [
        LateInteraction(folder, weights="equal", store=Counted(None)).encoding for _ in range(1)
    ]
    encoder = parts[0].encoder
    asked, (held, _) = encoder.query("alpha beta"), encoder.document("beta")
    best = (asked.vectors @ (held.codes * held.scales[:, None]).T).max(axis=1)
    weights = [math.sqrt(math.log1p((300 - df + 0.5) / (df + 0.5))) for df in (300, 3)]
    assert idf == pytest.approx(np.dot(best, weights) / sum(weights), abs=1e-6)
    assert idf > equal


def test_learned_weights_come_before_frequencies(folder, tiny):
    """A model's own query weights are the default; `idf` and `equal` ask for others."""
    size = len(tiny.tokenizer().get_vocab())
    learned = np.zeros(size)
    learned[tiny.tokenizer().get_vocab()["alpha"]] = 2.0
    settings(folder, weights=array(folder, "late_weights.bin", learned))
    own = LateInteraction(folder, store=TokenStore())
    pair = [("alpha beta", "beta zeta")]
    assert own.score(pair).values == pytest.approx(own.score([("alpha beta", "beta zeta")]).values)
    encoder = own.encoding.encoder
    asked, (held, _) = encoder.query("alpha beta"), encoder.document("beta zeta")
    best = (asked.vectors @ (held.codes * held.scales[:, None]).T).max(axis=1)
    assert own.score(pair).values[0] == pytest.approx(best[0], abs=1e-6)
    equal = dataclasses.replace(own, weights="equal").score(pair).values[0]
    assert equal == pytest.approx(best.mean(), abs=1e-6)
    assert own.score([("beta", "beta zeta")]).scored.all(), "weights of 0 alone count alike"
    key = own.cache_key
    own.score([("alpha", f"beta {number}") for number in range(250)])
    assert own.cache_key == key, "the collection in the store decides nothing"


def test_projection_mean_and_dimensions(folder, tiny):
    """Vectors are (output - mean) @ projection; `dimensions` keeps the first of ordered ones."""
    random = np.random.default_rng(0)
    mean, projection = random.normal(size=16), np.linalg.qr(random.normal(size=(16, 16)))[0]
    said = {
        "mean": array(folder, "late_mean.bin", mean),
        "projection": array(folder, "late_projection.bin", projection),
    }
    settings(folder, **said)
    with pytest.raises(InvalidArgument, match="16 dimensions"):
        LateInteraction(folder, dimensions=4).warmup()
    settings(folder, ordered=True, **said)
    encoder = LateInteraction(folder, dimensions=4, store=TokenStore()).encoding.encoder
    plain = encoder._loaded.run(encoder.text_encoder.text("alpha"), "last_hidden_state")[0][1]
    expected = ((plain - mean.astype(np.float32)) @ projection.astype(np.float32))[:4]
    found = encoder.query("alpha").vectors[0]
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=1e-5)
    with pytest.raises(InvalidArgument, match="must be 1 to 16"):
        LateInteraction(folder, dimensions=17).warmup()
    settings(folder, mean=array(folder, "late_mean.bin", np.zeros(3)))
    with pytest.raises(InvalidArgument, match="for 3 dimensions"):
        LateInteraction(folder).warmup()


def test_markers_and_expansion(folder, tiny):
    """A query gets its prefix and is filled up with a token, as ColBERT does."""
    plain = LateInteraction(folder, store=TokenStore()).encoding.encoder.query("alpha")
    assert len(plain.vectors) == 1
    expansion = {"id": 1, "length": 8, "attend": False}
    settings(folder, query={"prefix": "q ", "special": True, "skip": [], "expansion": expansion})
    encoder = LateInteraction(folder, store=TokenStore()).encoding.encoder
    asked = encoder.query("alpha")
    vocabulary = tiny.tokenizer().get_vocab()
    assert asked.ids.tolist() == [2, vocabulary["q"], vocabulary["alpha"], 3, 1, 1, 1, 1]
    held, _ = encoder.document("alpha")
    assert held.ids.tolist() == [vocabulary["alpha"]]


def test_the_deadline_leaves_the_rest_unscored(tiny, tmp_path):
    """At the deadline, scored documents are kept, stored ones are scored, the rest is timeout."""
    folder = tiny.save(tmp_path / "slow", output="last_hidden_state", work=10)
    scorer = LateInteraction(folder, store=TokenStore())
    texts = [f"alpha {number} " * 20 for number in range(400)]
    pairs = [("beta", text) for text in texts]
    known = scorer.score(pairs[-3:])
    found = scorer.score(pairs, deadline=Deadline(0.08))
    assert found.reason == "timeout"
    assert found.scored[-3:].all()
    np.testing.assert_array_equal(found.values[-3:], known.values)
    assert 3 < found.scored.sum() < 400
    assert found.usage.pairs == found.scored.sum()
    assert len(scorer.store) >= found.scored.sum(), "what was encoded in time is kept"
    none = scorer.score(pairs, deadline=Deadline(0.0))
    assert not none.scored.any()
    assert none.reason == "timeout"


def test_vectors_that_are_not_finite_leave_a_pair_unscored(tiny, tmp_path):
    """A broken model scores nothing, says so, and nothing of it is stored."""
    folder = tiny.save(tmp_path / "broken", output="last_hidden_state", broken=True)
    scorer = LateInteraction(folder, store=TokenStore())
    found = scorer.score(PAIRS)
    assert not found.scored.any()
    assert found.reason == "bad_reply"
    assert "no finite score for 5 of 5 pairs" in " ".join(found.notes)
    assert len(scorer.store) == 0


def test_a_model_without_token_vectors_is_refused(tiny, tmp_path, model):
    """The message says what its graph gives and what is needed."""
    pooled = tiny.save(tmp_path / "pooled", output="sentence_embedding")
    for folder, output in ((pooled, "sentence_embedding"), (model, "logits")):
        with pytest.raises(InvalidArgument, match=f"{output}: export .* last_hidden_state"):
            LateInteraction(folder).warmup()
    settings(pooled, output="sentence_embedding")
    with pytest.raises(InvalidArgument, match="shape"):
        LateInteraction(pooled).warmup()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"model": ""}, "model"),
        ({"weights": "bm25"}, "weights"),
        ({"weights": "idf"}, "weights"),
        ({"store": 3}, "store"),
        ({"dimensions": 0}, "dimensions"),
        ({"max_windows": 65}, "max_windows"),
        ({"max_windows": True}, "max_windows"),
        ({"max_length": 0}, "max_length"),
        ({"precision": "int4"}, "precision"),
    ],
)
def test_wrong_arguments_are_named(options, named):
    """The error names the argument."""
    with pytest.raises(InvalidArgument, match=named):
        LateInteraction(**options)


def test_it_is_configuration(folder, scorer, tmp_path):
    """It compares, copies, replaces, pickles and shows itself as configuration."""
    scorer.warmup()
    for copied in (copy.copy(scorer), copy.deepcopy(scorer), pickle.loads(pickle.dumps(scorer))):
        assert copied == scorer
        np.testing.assert_array_equal(copied.score(PAIRS).values, scorer.score(PAIRS).values)
    assert "weights='idf'" in repr(dataclasses.replace(scorer, weights="idf"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        scorer.model = "other"
    on_disk = LateInteraction(folder, store=tmp_path / "tokens")
    assert on_disk.store == TokenStore(tmp_path / "tokens")
    on_disk.score(PAIRS)
    again = pickle.loads(pickle.dumps(on_disk)).score(PAIRS)
    assert again.usage.tokens < 10, "the query alone"


def test_without_a_store_the_process_has_one(folder):
    """Objects made anew for each call find the vectors of the last."""
    LateInteraction(folder).score(PAIRS)
    assert LateInteraction(folder).score(PAIRS).usage.tokens < 10, "the query alone"


def test_without_a_store_nothing_read_before_moves_a_score(folder):
    """The process's own store has documents of any collection, and none of them is counted."""
    scorer = LateInteraction(folder)
    pair = [("alpha beta", "alpha gamma")]
    (before,), key = scorer.score(pair).values, scorer.cache_key
    scorer.score([("alpha", f"beta {number}") for number in range(250)])
    assert LateInteraction(folder).score(pair).values == before
    assert scorer.cache_key == key
    stored = LateInteraction(folder, store=TokenStore())
    assert stored.score(pair).values == before
    stored.score([("alpha", f"beta {number}") for number in range(250)])
    assert stored.score(pair).values != before


def test_another_model_or_setting_has_its_own_vectors(tiny, folder, tmp_path):
    """Weights share vectors; another model, length or `late.json` has vectors of its own."""
    store = TokenStore()
    base = LateInteraction(folder, store=store)
    base.score(PAIRS)
    dataclasses.replace(base, weights="equal").score(PAIRS)
    assert len(store) == 5
    dataclasses.replace(base, max_length=32).score(PAIRS)
    other = tiny.save(tmp_path / "other", output="last_hidden_state", seed=1)
    LateInteraction(other, store=store).score(PAIRS)
    settings(folder, document={"special": True})
    LateInteraction(folder, store=store).score(PAIRS)
    assert len(store) == 20


def test_its_cache_key_follows_what_scores_depend_on(folder, tiny):
    """The key is known before loading, and changes with weights and the collection."""
    scorer = LateInteraction(folder, store=TokenStore())
    before = scorer.cache_key
    scorer.warmup()
    assert scorer.cache_key == before
    assert dataclasses.replace(scorer, weights="equal").cache_key != before
    assert dataclasses.replace(scorer, max_length=32).cache_key != before
    scorer.score([("alpha", f"beta {number}") for number in range(250)])
    assert scorer.cache_key != before
    equal = dataclasses.replace(scorer, weights="equal")
    key = equal.cache_key
    equal.score([("alpha", f"gamma {number}") for number in range(900)])
    assert equal.cache_key == key


def test_scores_can_be_cached(folder):
    """`Cached` asks once, and again after the weights have changed."""
    cached = Cached(LateInteraction(folder, store=TokenStore()), store=MemoryCache())
    first = cached.score(PAIRS)
    again = cached.score(PAIRS)
    assert (first.usage.cached, again.usage.cached) == (0, 5)
    np.testing.assert_array_equal(first.values, again.values)


def test_it_reranks_with_blend_threshold_passages_and_in_a_cascade(folder, model):
    """It goes wherever a scorer goes."""
    source = Listed(*[Document(f"d{at}", text) for at, text in enumerate(DOCUMENTS)])
    late = LateInteraction(folder, store=TokenStore())
    low = Threshold(-1.0, ScoreKind.SIMILARITY, str(folder))
    for reranker in (
        late,
        Pointwise(late, blend=0.5, threshold=low, cache=True, passages="max"),
        Cascade([(late, 3), CrossEncoder(model)]),
    ):
        response = TwoStage({"listed": source}, reranker=reranker).search("alpha beta", top_k=5)
        assert response.outcome.complete, response.outcome
        assert len(response) == 5
        assert response[0].rerank_score is not None


def test_windows_are_those_of_its_tokenizer(folder):
    """Windows cover every character and fit one run."""
    scorer = LateInteraction(folder, max_length=16, store=TokenStore())
    text = "alpha beta gamma " * 20
    (spans,) = (list(one) for one in scorer.windows("alpha", [text], overlap=2))
    assert spans[0][0] == 0
    assert spans[-1][1] == len(text)
    assert all(later[0] <= one[1] for one, later in itertools.pairwise(spans))
    whole = scorer.score([("alpha", text[start:end]) for start, end in spans])
    assert not whole.truncated.any()


def test_an_english_model_says_what_it_cannot_read(tiny, tmp_path, caplog):
    """Texts in another script get a note and one warning, from a cache, too."""
    config = {"max_position_embeddings": 128, "model_type": "bert", "language": "en"}
    folder = tiny.save(tmp_path / "english", output="last_hidden_state", config=config)
    scorer = LateInteraction(folder, store=TokenStore())
    languages._warned.clear()
    with caplog.at_level(logging.WARNING):
        found = scorer.score([("кошка", "собака")])
        scorer.score([("кошка", "собака")])
    assert "Cyrillic" in found.notes[0]
    assert len(caplog.records) == 1
    assert scorer.remarks([("кошка", "собака")]) == found.notes
    assert scorer.remarks([("alpha", "beta")]) == ()


def test_threads_share_one_scorer(scorer):
    """Concurrent calls get the scores of a call alone."""
    expected, failures = scorer.score(PAIRS).values, []
    fresh = dataclasses.replace(scorer, store=TokenStore())

    def score():
        if not np.array_equal(fresh.score(PAIRS).values, expected):
            failures.append(1)

    threads = [threading.Thread(target=score) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not failures


async def test_a_cancelled_call_leaves_the_queue(tiny, tmp_path):
    """Cancelling `ascore` ends it; the next call is answered."""
    folder = tiny.save(tmp_path / "slow", output="last_hidden_state", work=10)
    scorer = LateInteraction(folder, store=TokenStore())
    scorer.warmup()
    task = asyncio.ensure_future(
        scorer.ascore([("alpha", f"beta {number} " * 30) for number in range(2000)])
    )
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await scorer.ascore(PAIRS)).scored.all()


def test_damage_in_the_folder_is_named(folder):
    """A late.json that cannot be read is ModelDamaged."""
    (folder / "late.json").write_text("{")
    with pytest.raises(ModelDamaged, match=r"late\.json"):
        LateInteraction(folder).warmup()


@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", "runoff-late"])
def test_the_embedded_models_pooled_output_is_the_mean_of_its_token_vectors(name):
    """An embedded encoder gives token vectors whose scaled mean is its embedding."""
    pytest.importorskip("runoff_models")
    from runoff._onnx.resolve import resolve
    from runoff._onnx.tokens import TextEncoder

    loaded = sessions.load(resolve(name))
    encoded = TextEncoder(loaded.tokenizer, 256).text("how do cats sleep?")
    pooled, hidden = loaded.run_all(encoded, ["sentence_embedding", "token_embeddings"])
    mean = hidden[0].mean(axis=0)
    np.testing.assert_allclose(mean / np.linalg.norm(mean), pooled[0], atol=1e-5)


def test_the_embedded_model_finds_what_answers():
    """With the embedded model the answer scores above what has only words in common."""
    pytest.importorskip("runoff_models")
    found = LateInteraction(store=TokenStore()).score(
        [
            ("how long do cats sleep?", "A cat is asleep for most of the day."),
            ("how long do cats sleep?", "How long is a piece of string?"),
        ]
    )
    assert found.values[0] > found.values[1]


def test_it_blends_by_default(folder):
    """A model that says nothing is mixed with the fused order, unless its config.json does."""
    assert Pointwise(LateInteraction(folder)).weight == 0.5
    said = json.loads((folder / "config.json").read_text()) | {"default_blend": 1.0}
    (folder / "config.json").write_text(json.dumps(said))
    scorer = LateInteraction(folder)
    assert scorer.default_blend == 1.0
    scorer.warmup()
    assert scorer.default_blend == 1.0


def test_matches_add_up_to_the_score(folder):
    """Shares times cosines are the score; words are whole, with their pieces together."""
    scorer = LateInteraction(folder, store=TokenStore())
    query, text = "alpha, xyz beta", "gamma xyz. delta " * 3
    found = scorer.matches(query, text)
    score = float(scorer.score([(query, text)]).values[0])
    assert sum(one.share * one.cosine for one in found) == pytest.approx(score, abs=1e-5)
    assert sum(one.share for one in found) == pytest.approx(1.0)
    assert {one.query for one in found} >= {"alpha", "xyz", "beta"}
    assert all(one.document in text for one in found)
    parts = [one.share * one.cosine for one in found]
    assert parts == sorted(parts, reverse=True)
    assert scorer.matches("alpha", "")[0].document.startswith("[")
    with pytest.raises(RequestRejected):
        scorer.matches(" ", "alpha")


def test_matches_of_long_documents_and_expanded_queries(folder):
    """Windows, special tokens and expansion have words, too."""
    expansion = {"id": 1, "length": 8, "attend": False}
    settings(folder, query={"special": True, "skip": [], "expansion": expansion})
    scorer = LateInteraction(folder, max_length=16, store=TokenStore())
    found = scorer.matches("alpha", "gamma delta " * 15 + "alpha")
    assert sum(one.share for one in found) == pytest.approx(1.0)
    assert {"alpha", "[CLS]", "(expansion)"} <= {one.query for one in found}


def test_an_answer_shows_which_words_met(folder, model):
    """`explain`, one document's path and the notebook show pairs; a pickle goes without."""
    source = Listed(*[Document(f"d{at}", text) for at, text in enumerate(DOCUMENTS)])
    late = LateInteraction(folder, store=TokenStore())
    for reranker in (late, Cached(late), Cascade([(late, 3), CrossEncoder(model)])):
        response = TwoStage({"listed": source}, reranker=reranker).search("alpha beta", top_k=3)
        assert "query ~ document" in response.explain()
        assert "alpha ~ alpha" in response.explain()
        assert "words of the query ~ of the document: " in response.explain("d1")
        assert "alpha ~ alpha" in response._repr_html_()
        back = pickle.loads(pickle.dumps(response))
        assert back == response
        assert "~" not in back.explain()
    plain = TwoStage({"listed": source}, reranker=CrossEncoder(model)).search("alpha", top_k=3)
    assert "~" not in plain.explain()


def test_it_has_a_short_name():
    """`reranker="late"` is late interaction with the embedded encoder."""
    made = as_reranker("late")
    assert made == Pointwise(LateInteraction())


def test_a_call_does_not_weigh_its_own_candidates(folder):
    """Frequencies are those before the call: its documents are counted from the next call on."""
    scorer = LateInteraction(folder, store=TokenStore())
    pairs = [("alpha beta", f"alpha {number}") for number in range(300)]
    equal = dataclasses.replace(scorer, weights="equal", store=TokenStore()).score(pairs)
    np.testing.assert_array_equal(scorer.score(pairs).values, equal.values)
    assert not np.array_equal(scorer.score(pairs).values, equal.values)


def test_warming_up_opens_the_store(folder, tmp_path):
    """A damaged store is found before the first search."""
    scorer = LateInteraction(folder, store=tmp_path / "tokens")
    scorer.score(PAIRS)
    scorer.store.flush()
    held._paths.clear()
    (pointer,) = (tmp_path / "tokens").glob("*/runoff.json")
    pointer.write_bytes(b"{")
    with pytest.raises(IndexDamaged, match="encoded again"):
        LateInteraction(folder, store=tmp_path / "tokens").warmup()
