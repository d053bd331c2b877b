import copy
import dataclasses
import logging
import math
import pickle
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
from parts import Listed

from runoff import TwoStage
from runoff._onnx import languages, sessions
from runoff.errors import InvalidArgument, ModelDamaged, ModelNotFound, RequestRejected
from runoff.protocols import AsyncPairScorer, PairScorer, Warmable
from runoff.rerank import CrossEncoder
from runoff.scores import ModelIdentity, ScoreKind

PAIRS = [("alpha beta", "gamma " * count + "delta") for count in range(1, 9)]


@pytest.fixture
def scorer(model):
    return CrossEncoder(model)


def reference(tiny, directory, pairs, *, max_length=128):
    """Score with onnxruntime and the tokenizer's own truncation, nothing of ours."""
    tokenizer = tiny.tokenizer()
    tokenizer.enable_truncation(max_length, strategy="only_second")
    session = onnxruntime.InferenceSession(str(directory / "model.onnx"))
    scores = []
    for query, document in pairs:
        encoding = tokenizer.encode(query, document)
        feeds = {
            "input_ids": [encoding.ids],
            "attention_mask": [encoding.attention_mask],
            "token_type_ids": [encoding.type_ids],
        }
        given = {name: np.array(value, np.int64) for name, value in feeds.items()}
        asked = {one.name for one in session.get_inputs()}
        given = {name: value for name, value in given.items() if name in asked}
        scores.append(session.run(None, given)[0][0])
    return np.array(scores)


def test_it_is_what_the_seams_ask_for(scorer):
    """A cross-encoder scores, can be awaited, warms up and keeps the deadline itself."""
    for seam in (PairScorer, AsyncPairScorer, Warmable):
        assert isinstance(scorer, seam)
    assert scorer.keeps_deadline


def test_scores_are_the_models_logits_in_input_order(tiny, model, scorer):
    """Scores equal a plain run of the model for each pair, in the order given."""
    scores = scorer.score(PAIRS)
    assert scores.values.dtype == np.float32
    np.testing.assert_allclose(
        scores.values, reference(tiny, model, PAIRS).ravel(), rtol=0, atol=1e-6
    )
    assert scores.kind is ScoreKind.LOGIT
    assert scores.scored.all()
    assert not scores.truncated.any()
    assert scores.reason == ""


async def test_awaiting_gives_the_same_scores(scorer):
    """`ascore` and `score` agree to the last bit."""
    awaited = await scorer.ascore(PAIRS)
    assert awaited.values.tolist() == scorer.score(PAIRS).values.tolist()


def test_a_score_does_not_depend_on_the_pairs_beside_it(scorer):
    """A pair alone scores exactly what it scores among 99 others."""
    pairs = [("alpha beta", "gamma delta " * (number % 50)) for number in range(100)]
    together = scorer.score(pairs).values
    alone = [scorer.score([pair]).values[0] for pair in pairs]
    assert together.tolist() == alone


def test_pairs_may_span_queries(scorer):
    """Each pair is scored for its own query."""
    pairs = [("alpha", "gamma"), ("beta", "gamma"), ("alpha", "gamma")]
    values = scorer.score(pairs).values
    assert values[0] == values[2] != values[1]


def test_identity_and_usage(scorer, model):
    """Scores name model, checksum and precision, and count pairs and tokens."""
    scores = scorer.score([("alpha", "beta gamma"), ("alpha", "delta")])
    assert scores.model.name == str(model) == scorer.name
    assert len(scores.model.revision) == 16
    assert scores.model.precision == "fp32"
    assert (scores.usage.pairs, scores.usage.tokens) == (2, 6 + 5)


def test_no_pairs_need_no_model():
    """Scoring nothing loads nothing and answers with nothing."""
    scores = CrossEncoder("./absent").score([])
    assert len(scores) == 0
    assert (scores.reason, scores.model) == ("", ModelIdentity("./absent"))


def test_truncation_is_counted_per_pair(scorer):
    """A pair whose document loses text is marked, and only that one."""
    pairs = [("alpha", "beta"), ("alpha", "beta " * 500), ("alpha " * 500, "beta")]
    assert scorer.score(pairs).truncated.tolist() == [False, True, False]


def test_a_query_that_is_cut_is_noted(scorer):
    """A query longer than the token limit is named in a note; no document counts as cut."""
    scores = scorer.score([("alpha " * 500, "beta"), ("alpha", "beta")])
    assert not scores.truncated.any()
    assert [one for one in scores.notes if "the query is too long" in one]
    assert scorer.score([("alpha", "beta " * 500)]).notes == ()
    pipeline = TwoStage({"s": Listed("beta", "gamma")}, reranker=scorer)
    explained = pipeline.search("alpha " * 500).explain()
    assert "the query is too long" in explained
    assert "documents were read only in part" not in explained


def test_a_blank_query_scores_nothing(scorer):
    """No order is made by a blank query: alone it is refused, and beside others it is unscored."""
    with pytest.raises(RequestRejected, match="query is blank; give it text"):
        scorer.score([("", "alpha"), ("\u3000\n", "beta")])
    scores = scorer.score([("alpha", "beta"), (" ", "beta"), ("gamma", "beta")])
    assert scores.scored.tolist() == [True, False, True]
    assert scores.reason == RequestRejected.reason
    alone = scorer.score([("alpha", "beta"), ("gamma", "beta")])
    assert scores.values[[0, 2]].tolist() == alone.values.tolist()


def test_max_length_bounds_the_tokens(tiny, model):
    """A smaller limit reads fewer tokens and scores as the tokenizer's own truncation does."""
    scorer = CrossEncoder(model, max_length=8)
    scores = scorer.score(PAIRS)
    assert scores.usage.tokens <= 8 * len(PAIRS)
    assert scores.truncated.tolist() == [len(d.split()) > 3 for _, d in PAIRS]
    expected = reference(tiny, model, PAIRS, max_length=8).ravel()
    np.testing.assert_allclose(scores.values, expected, atol=1e-6)


def test_sigmoid_makes_probabilities(model, scorer):
    """With the activation the kind says so, and the order is the same."""
    logits = scorer.score(PAIRS).values
    scores = CrossEncoder(model, activation="sigmoid").score(PAIRS)
    assert scores.kind is ScoreKind.PROBABILITY
    np.testing.assert_allclose(scores.values, 1 / (1 + np.exp(-logits)), atol=1e-6)


def test_sigmoid_does_not_overflow():
    """Far from zero the sigmoid is 0 and 1 without a warning."""
    from runoff.rerank._local.cross_encoder import _sigmoid

    values = _sigmoid(np.array([-1e4, -1.0, 0.0, 1.0, 1e4, np.nan]))
    assert values.dtype == np.float32
    assert values[[0, 2, 4]].tolist() == [0.0, 0.5, 1.0]
    assert math.isclose(values[1] + values[3], 1.0, abs_tol=1e-7)


def test_two_labels_score_their_log_odds(tiny, tmp_path):
    """A model with two labels scores the second's logit above the first's."""
    directory = tiny.save(tmp_path / "m", labels=2)
    expected = reference(tiny, directory, PAIRS)
    np.testing.assert_allclose(
        CrossEncoder(directory).score(PAIRS).values, expected[:, 1] - expected[:, 0], atol=1e-6
    )


@pytest.mark.parametrize(
    "options", [{"labels": 3}, {"output": "last_hidden_state"}, {"output": "sentence_embedding"}]
)
def test_another_kind_of_model_is_refused(tiny, tmp_path, options):
    """A model that returns no score for a pair is refused, with the shape of its output."""
    scorer = CrossEncoder(tiny.save(tmp_path / "m", **options))
    with pytest.raises(InvalidArgument, match="a cross-encoder has one score or two labels"):
        scorer.score(PAIRS)


def ours(**config):
    return {"kind": "cross-encoder", "max_length": 64, **config}


def test_a_model_of_another_score_kind_is_refused(tiny, tmp_path):
    """A bi-encoder made for runoff is refused because of its config."""
    directory = tiny.save(tmp_path / "m", config=ours(score_kind="similarity"))
    with pytest.raises(InvalidArgument, match="is not a cross-encoder"):
        CrossEncoder(directory).warmup()


def test_probabilities_are_not_squeezed_twice(tiny, tmp_path):
    """A model that gives probabilities says so, and a second sigmoid is refused."""
    directory = tiny.save(tmp_path / "m", config=ours(score_kind="probability"))
    assert CrossEncoder(directory).score(PAIRS).kind is ScoreKind.PROBABILITY
    with pytest.raises(InvalidArgument, match="returns probabilities already"):
        CrossEncoder(directory, activation="sigmoid").score(PAIRS)


def test_values_that_are_not_finite_leave_pairs_unscored(tiny, tmp_path):
    """Infinity and NaN leave their pairs unscored, and a note counts them."""
    scores = CrossEncoder(tiny.save(tmp_path / "m", broken=True)).score(PAIRS)
    assert not scores.scored.any()
    assert np.isnan(scores.values).all()
    assert scores.reason == "bad_reply"
    assert "no finite score for 8 of 8 pairs" in scores.notes[0]


@pytest.mark.parametrize("activation", [None, "sigmoid"])
def test_infinity_is_no_probability(tiny, tmp_path, activation):
    """The activation does not turn an infinite logit into a score of 1."""
    directory = tiny.save(tmp_path / "m", broken=True)
    assert not CrossEncoder(directory, activation=activation).score(PAIRS).scored.any()


@pytest.mark.parametrize(
    "text",
    ["", " ", "\x00", "\ud800", "a\udfffb", "🎉", "a" * 10_000_000, "alpha " * 200_000],
    ids=["empty", "blank", "nul", "surrogate", "surrogate-inside", "emoji", "10MB", "1MB"],
)
def test_strange_texts_have_scores(scorer, text):
    """Empty, huge and malformed texts are scored like any other, as query and as document."""
    pairs = [("alpha", text), (text if text.strip() else "alpha", "alpha")]
    assert scorer.score(pairs).scored.all()


@pytest.mark.parametrize(
    "pair", ["ab", ("alpha",), ("alpha", "beta", "gamma"), ("alpha", None), (b"alpha", "beta"), 3]
)
def test_a_pair_is_two_strings(scorer, pair):
    """Anything else is refused with its place in the list."""
    with pytest.raises(InvalidArgument, match=r"^pairs\[1\]="):
        scorer.score([("alpha", "beta"), pair])


def test_inputs_are_not_changed(scorer):
    """The list of pairs is as it was."""
    pairs = [["alpha", "beta"], ["alpha", "gamma"]]
    before = copy.deepcopy(pairs)
    scorer.score(pairs)
    assert pairs == before


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("model", ""),
        ("precision", "fp8"),
        ("max_length", 0),
        ("max_length", "512"),
        ("activation", "softmax"),
        ("activation", ["sigmoid"]),
        ("revision", ""),
        ("cache_dir", 1),
        ("local_files_only", 1),
    ],
)
def test_wrong_arguments_are_refused_at_once(argument, value):
    """A wrong argument is named when the object is made, not when it is used."""
    with pytest.raises(InvalidArgument) as caught:
        CrossEncoder(**{argument: value})
    assert caught.value.argument == argument


def test_a_limit_that_does_not_suit_the_model(model):
    """More tokens than positions, and fewer than the special ones need, are refused."""
    for length in (129, 4):
        with pytest.raises(InvalidArgument, match="max_length"):
            CrossEncoder(model, max_length=length).warmup()


def test_a_missing_tokenizer_is_named(model, scorer):
    """A model directory without tokenizer is ModelNotFound, on first use."""
    (model / "tokenizer.json").unlink()
    with pytest.raises(ModelNotFound, match=r"tokenizer\.json is missing"):
        scorer.score(PAIRS)


async def test_a_corrupt_model_is_named(model, scorer):
    """A corrupt ONNX file is ModelDamaged, awaited or not."""
    (model / "model.onnx").write_bytes(b"junk")
    with pytest.raises(ModelDamaged):
        scorer.warmup()
    with pytest.raises(ModelDamaged):
        await scorer.ascore(PAIRS)


def test_the_blend_is_the_models(tiny, tmp_path, model):
    """The default blend is what config.json says, known before and after loading; else None."""
    scorer = CrossEncoder(tiny.save(tmp_path / "m", config=ours(default_blend=0.25)))
    assert scorer.default_blend == 0.25
    scorer.warmup()
    assert scorer.default_blend == 0.25
    assert CrossEncoder(model).default_blend is None
    assert CrossEncoder("org/not-fetched").default_blend is None


@pytest.mark.parametrize("blend", [-0.1, 1.1, "half", True])
def test_a_blend_that_is_none_is_damage(tiny, tmp_path, blend):
    """A default_blend outside 0 and 1 in config.json is ModelDamaged."""
    scorer = CrossEncoder(tiny.save(tmp_path / "m", config=ours(default_blend=blend)))
    with pytest.raises(ModelDamaged, match="default_blend"):
        _ = scorer.default_blend


def test_it_is_frozen_configuration(model):
    """Instances compare, hash and show by their arguments alone, used or not."""
    fresh, used = CrossEncoder(model), CrossEncoder(model)
    used.warmup()
    assert fresh == used
    assert hash(fresh) == hash(used)
    assert repr(fresh) == repr(used)
    assert "_state" not in repr(used)
    with pytest.raises(dataclasses.FrozenInstanceError):
        used.max_length = 3
    with pytest.raises(TypeError):
        CrossEncoder(model, "fp32")


@pytest.mark.parametrize(
    "remake",
    [
        lambda one: pickle.loads(pickle.dumps(one)),
        copy.copy,
        copy.deepcopy,
        lambda one: dataclasses.replace(one, activation=None),
        lambda one: CrossEncoder(one.model),
    ],
    ids=["pickle", "copy", "deepcopy", "replace", "rebuilt"],
)
def test_copies_never_load_again(model, remake):
    """However an instance is made again, it finds the loaded model."""
    scorer = CrossEncoder(model)
    expected = scorer.score(PAIRS)
    loaded = sessions.load(scorer._files())
    again = remake(scorer)
    assert again == scorer
    scores = again.score(PAIRS)
    assert scores.values.tolist() == expected.values.tolist()
    assert sessions.load(again._files()) is loaded


def test_a_pickle_holds_no_model(scorer):
    """A used instance pickles to as few bytes as a fresh one."""
    fresh = len(pickle.dumps(scorer))
    scorer.warmup()
    assert len(pickle.dumps(scorer)) == fresh < 1000


def test_loading_is_reported_once(scorer):
    """The call that loads says how long; the next says nothing."""
    sessions.forget()
    assert scorer.score(PAIRS).load_ms > 0
    assert scorer.score(PAIRS).load_ms == 0


CHINESE = [("机器学习", "机器学习是人工智能的一个分支"), ("机器学习", "plain English")]


def test_an_english_model_warns_of_other_scripts(tiny, tmp_path, caplog, monkeypatch):
    """An English model asked about Chinese text notes it each time and logs it once."""
    monkeypatch.setattr(languages, "_warned", set())
    scorer = CrossEncoder(tiny.save(tmp_path / "m", config=ours(language="en")))
    with caplog.at_level(logging.WARNING, "runoff"):
        notes = [scorer.score(CHINESE).notes for _ in range(2)]
    assert "2 of 3 texts are mostly in another script (Han)" in notes[0][0]
    assert notes[0] == notes[1]
    assert len(caplog.records) == 1
    assert scorer.score(PAIRS).notes == ()


def test_other_models_do_not_warn(scorer, caplog):
    """A model whose config does not say English causes no remark."""
    assert scorer.score(CHINESE).notes == ()
    assert caplog.records == []


def test_the_package_loads_no_runtime():
    """Importing the room and making a cross-encoder imports neither runtime nor hub."""
    code = (
        "import sys\n"
        "from runoff.rerank import CrossEncoder, Pointwise\n"
        "Pointwise(CrossEncoder())\n"
        "print([n for n in ('onnxruntime', 'tokenizers', 'huggingface_hub') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.strip() == "[]"


def test_unknown_names_are_no_attributes():
    """The lazy package raises AttributeError as any module does, and lists its names."""
    import runoff.rerank

    with pytest.raises(AttributeError, match="Nonsense"):
        _ = runoff.rerank.Nonsense
    assert {"CrossEncoder", "Pointwise"} <= set(dir(runoff.rerank))


@pytest.fixture(scope="module")
def mini():
    pytest.importorskip("runoff_models", reason="the embedded models are not installed")
    return CrossEncoder("runoff-mini")


def test_the_embedded_model_reads_for_meaning(mini):
    """The embedded cross-encoder puts the answer above the rest, and asks to be blended."""
    documents = [
        "Bananas are rich in potassium.",
        "csv.DictReader reads rows of a CSV file into dictionaries.",
        "The train leaves at noon.",
    ]
    scores = mini.score([("how do I read a csv file", text) for text in documents])
    assert int(np.argmax(scores.values)) == 1
    assert scores.model.precision == "int8"
    assert mini.default_blend == 0.5


def test_the_embedded_model_scores_pairs_alone(mini):
    """int8 scores are exactly equal alone and among 99 others: there are no batches."""
    pairs = [("how tall is the tower", "the tower is tall. " * (1 + n % 30)) for n in range(100)]
    together = mini.score(pairs)
    alone = [mini.score([pair]).values[0] for pair in pairs[::10]]
    assert together.values[::10].tolist() == alone
