"""What a cross-encoder scores on torch, against sentence-transformers and ONNX Runtime."""

import copy
import dataclasses
import gc
import logging
import pickle
import weakref
from itertools import pairwise

import numpy as np
import pytest

reason = "the extra sentence-transformers is not installed: make test-torch"
sentence_transformers = pytest.importorskip("sentence_transformers", reason=reason)
import torch  # noqa: E402 - see above
import torch_tiny  # noqa: E402 - see above

from runoff._onnx import sessions  # noqa: E402 - see above
from runoff._onnx.slots import Interrupt  # noqa: E402 - see above
from runoff.errors import InvalidArgument, ModelDamaged, TransientError  # noqa: E402 - see above
from runoff.rerank import Cached, CrossEncoder  # noqa: E402 - see above
from runoff.rerank._local import torch_model  # noqa: E402 - see above
from runoff.scores import ScoreKind  # noqa: E402 - see above

PAIRS = [("alpha beta", "gamma " * count + "delta") for count in range(1, 9)]
# read whole, cut in the document, cut in the query, empty, unknown and ill-formed
GOLDEN = [
    *PAIRS,
    ("alpha", "beta " * 500),
    ("alpha " * 500, "beta"),
    ("alpha " * 500, "beta " * 500),
    ("alpha", ""),
    ("alpha", "Привет 你好"),
    ("alpha", "\ud800 beta"),
]


def make(directory, **options):
    return CrossEncoder(directory, backend="torch", device="cpu", **options)


def plain(directory, pairs, **options):
    """Score with sentence-transformers alone, one pair at a time, without its activation."""
    model = sentence_transformers.CrossEncoder(
        str(directory), device="cpu", activation_fn=torch.nn.Identity()
    )
    return np.array([model.predict([pair], **options)[0] for pair in pairs], np.float64)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return torch_tiny.bert(tmp_path_factory.mktemp("bert"))


def test_torch_keeps_a_containers_quota(tmp_path, monkeypatch):
    """Loading a model leaves torch no more threads than this process may use cores."""
    before = torch.get_num_threads()
    monkeypatch.setattr(torch_model.cpu, "cores", lambda: 1)
    try:
        torch.set_num_threads(2)
        CrossEncoder(torch_tiny.bert(tmp_path / "model"), backend="torch").warmup()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_scores_are_the_models_logits_in_input_order(bert):
    """Scores are those of sentence-transformers without activation, in the order given."""
    scores = make(bert).score(PAIRS)
    np.testing.assert_allclose(scores.values, plain(bert, PAIRS), rtol=0, atol=1e-5)
    assert float(np.ptp(scores.values)) > 0.1
    assert scores.values.dtype == np.float32
    assert scores.kind is ScoreKind.LOGIT
    assert scores.scored.all()
    assert scores.usage.tokens == sum(6 + count for count in range(1, 9))


@pytest.mark.parametrize("activation", [None, torch_tiny.SIGMOID, torch_tiny.IDENTITY])
def test_logits_whatever_the_settings_name(tmp_path, activation, bert):
    """A config that names Sigmoid, Identity or nothing gives the same raw logits."""
    named = torch_tiny.bert(tmp_path, activation=activation)
    scores = make(named).score(PAIRS)
    assert scores.kind is ScoreKind.LOGIT
    assert scores.values.tolist() == make(bert).score(PAIRS).values.tolist()


def test_sigmoid_is_what_sentence_transformers_gives_by_default(tmp_path):
    """activation="sigmoid" makes the probabilities that `predict` makes of such a model."""
    directory = torch_tiny.bert(tmp_path, activation=torch_tiny.SIGMOID)
    scores = make(directory, activation="sigmoid").score(PAIRS)
    expected = sentence_transformers.CrossEncoder(str(directory), device="cpu").predict(PAIRS)
    assert scores.kind is ScoreKind.PROBABILITY
    np.testing.assert_allclose(scores.values, expected, atol=1e-5)


def test_two_labels_score_their_log_odds(tmp_path):
    """A model with two labels scores the second's logit above the first's."""
    directory = torch_tiny.bert(tmp_path, labels=2)
    expected = plain(directory, PAIRS)
    assert expected.shape == (len(PAIRS), 2)
    scores = make(directory).score(PAIRS)
    np.testing.assert_allclose(scores.values, expected[:, 1] - expected[:, 0], atol=1e-5)


def test_three_labels_are_another_kind_of_model(tmp_path):
    """A classifier of three classes is refused with the shape it gives."""
    with pytest.raises(InvalidArgument, match=r"shape \(1, 3\).*one score or two labels"):
        make(torch_tiny.bert(tmp_path, labels=3)).warmup()


def test_a_head_that_gives_probabilities_is_told_apart(tmp_path):
    """A model whose last layer is a sigmoid gives probabilities, and is not squeezed twice."""
    modules = pytest.importorskip(
        "sentence_transformers.cross_encoder.modules", reason="heads are modules since 5.4"
    )
    pooling = pytest.importorskip("sentence_transformers.models").Pooling
    encoder = modules.Transformer(str(torch_tiny.bert(tmp_path / "bert", head=False)))
    torch.manual_seed(0)
    head = modules.Dense(
        32,
        1,
        activation_function=torch.nn.Sigmoid(),
        module_input_name="sentence_embedding",
        module_output_name="scores",
    )
    made = sentence_transformers.CrossEncoder(modules=[encoder, pooling(32), head], device="cpu")
    made.save_pretrained(str(tmp_path / "whole"))
    scores = make(tmp_path / "whole").score(PAIRS)
    assert scores.kind is ScoreKind.PROBABILITY
    assert ((scores.values > 0) & (scores.values < 1)).all()
    np.testing.assert_allclose(scores.values, plain(tmp_path / "whole", PAIRS), atol=1e-5)
    with pytest.raises(InvalidArgument, match="returns probabilities already") as caught:
        make(tmp_path / "whole", activation="sigmoid").warmup()
    assert caught.value.argument == "activation"


@pytest.mark.parametrize("states_inputs", [True, False])
def test_backends_agree_on_golden_pairs(tmp_path, states_inputs):
    """Torch and ONNX Runtime agree within 1e-4, in what is cut and counted exactly."""
    pytest.importorskip("onnx")
    directory = torch_tiny.bert(tmp_path, states_inputs=states_inputs)
    torch_tiny.export(directory)
    onnx = CrossEncoder(directory).score(GOLDEN)
    scores = make(directory).score(GOLDEN)
    np.testing.assert_allclose(scores.values, onnx.values, rtol=0, atol=1e-4)
    assert scores.truncated.tolist() == onnx.truncated.tolist()
    assert scores.truncated.sum() == 2  # of the third, the query is cut
    assert scores.usage == onnx.usage
    assert scores.model.name == onnx.model.name
    assert scores.model.revision != onnx.model.revision


@pytest.mark.filterwarnings("ignore")  # those of the exporters
def test_openvino_agrees_on_golden_pairs(tmp_path):
    """OpenVINO agrees with torch within 1e-4, exported on the way or found in the directory."""
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    directory = torch_tiny.bert(tmp_path)
    expected = make(directory).score(GOLDEN)
    scores = CrossEncoder(directory, backend="openvino").score(GOLDEN)
    np.testing.assert_allclose(scores.values, expected.values, rtol=0, atol=1e-4)
    assert scores.truncated.tolist() == expected.truncated.tolist()
    assert scores.model.revision != expected.model.revision
    model = sentence_transformers.CrossEncoder(str(directory), backend="openvino", device="cpu")
    model.save_pretrained(str(tmp_path / "saved"))
    assert (tmp_path / "saved/openvino/openvino_model.xml").exists()
    found = CrossEncoder(tmp_path / "saved", backend="openvino").score(GOLDEN)
    np.testing.assert_allclose(found.values, expected.values, rtol=0, atol=1e-4)


@pytest.mark.parametrize("batch_size", [None, 1, 3, 32])
def test_a_score_does_not_depend_on_the_pairs_beside_it(bert, batch_size):
    """In any batch, a pair gets the score it gets alone, within 1e-5, in input order."""
    pairs = [("alpha beta", "gamma delta " * (number % 40)) for number in range(100)]
    scorer = make(bert, batch_size=batch_size)
    together = scorer.score(pairs).values
    alone = [scorer.score([pair]).values[0] for pair in pairs]
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5)


def test_padded_runs_score_the_same(bert):
    """Where inputs of several lengths share a run, as on a GPU, padding changes no score."""
    scorer = make(bert)
    scorer.warmup()
    ready = scorer._state.current
    encoded = [ready.run.texts.encode(query, text, {}) for query, text in GOLDEN]
    padded = ready.loaded.run(encoded).ravel()
    np.testing.assert_allclose(padded, scorer.score(GOLDEN).values, rtol=0, atol=1e-5)


def test_max_length_comes_from_the_model_or_the_user(bert):
    """A smaller limit reads fewer tokens and counts the cut; a larger one than fits is refused."""
    scores = make(bert, max_length=8).score(PAIRS)
    assert scores.usage.tokens <= 8 * len(PAIRS)
    assert scores.truncated.tolist() == [len(text.split()) > 3 for _, text in PAIRS]
    assert make(bert).score([("alpha", "beta " * 500)]).usage.tokens == 128
    with pytest.raises(InvalidArgument, match="max_length"):
        make(bert, max_length=129).warmup()


def test_prompts(bert, tmp_path):
    """A prompt stands before the query; the settings' default is used unless another is named."""
    said = make(bert, prompt="zeta eta ").score(PAIRS).values
    joined = make(bert).score([("zeta eta " + query, text) for query, text in PAIRS]).values
    assert said.tolist() == joined.tolist()
    with pytest.raises(InvalidArgument, match="has these prompts: none") as caught:
        make(bert, prompt_name="absent").warmup()
    assert caught.value.argument == "prompt_name"
    if not hasattr(sentence_transformers.CrossEncoder, "preprocess"):
        pytest.skip("cross-encoders have named prompts since sentence-transformers 5.4")
    named = torch_tiny.prompts(bert, tmp_path, search="zeta eta ", other="iota ")
    unasked = make(bert).score(PAIRS).values.tolist()
    assert make(named, prompt="").score(PAIRS).values.tolist() == unasked
    assert make(named).score(PAIRS).values.tolist() == said.tolist()
    other = make(named, prompt_name="other").score(PAIRS).values
    np.testing.assert_allclose(other, plain(named, PAIRS, prompt_name="other"), atol=1e-5)


def test_a_prompt_is_part_of_the_identity(bert):
    """Scores made with different prompts do not claim to be of the same model."""
    models = {make(bert, prompt=prompt).score(PAIRS[:1]).model for prompt in (None, "zeta ")}
    assert len(models) == 2
    assert {one.precision for one in models} == {"fp32"}


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16])
def test_weights_stored_in_half_precision_are_computed_in_fp32(bert, tmp_path, stored):
    """A half-precision checkpoint runs in float32 on a CPU, as exactly as its weights allow."""
    import transformers

    model = transformers.BertForSequenceClassification.from_pretrained(bert)
    model.to(stored).save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(bert).save_pretrained(tmp_path)
    scorer = make(tmp_path)
    values = scorer.score(PAIRS).values
    assert {one.dtype for one in scorer._state.current.loaded._model.model.parameters()} == {
        torch.float32
    }
    assert np.abs(values - make(bert).score(PAIRS).values).max() < 0.2


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_needs_a_gpu(bert, dtype):
    """On a CPU half precision is refused with the reason."""
    with pytest.raises(InvalidArgument, match="needs a GPU") as caught:
        make(bert, dtype=dtype).warmup()
    assert caught.value.argument == "dtype"


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
def test_a_device_that_is_not_there_is_named(bert, device):
    """A device that torch does not know or this machine lacks is InvalidArgument."""
    with pytest.raises(InvalidArgument, match=r"device.*cannot be used"):
        CrossEncoder(bert, backend="torch", device=device).warmup()


def test_a_damaged_model_is_named(tmp_path):
    """Weights that cannot be read are ModelDamaged."""
    directory = torch_tiny.bert(tmp_path)
    (directory / "model.safetensors").write_bytes(b"junk")
    with pytest.raises(ModelDamaged, match="cannot be loaded"):
        make(directory).warmup()


def test_a_bi_encoder_is_refused(tmp_path):
    """An encoder without a head is not given a random one."""
    with pytest.raises(InvalidArgument, match=r"BertModel; that of a cross-encoder ends in"):
        make(torch_tiny.bert(tmp_path, head=False)).warmup()


def test_running_out_of_memory_may_pass(bert, monkeypatch):
    """No memory on the device is TransientError, and says what needs less."""
    scorer = make(bert)
    scorer.warmup()

    def full(features):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(scorer._state.current.loaded, "_modular", True)
    monkeypatch.setattr(scorer._state.current.loaded, "_model", full)
    with pytest.raises(TransientError, match="smaller batch_size"):
        scorer.score(PAIRS)


def test_values_that_are_not_finite_leave_a_pair_unscored(bert, monkeypatch):
    """A NaN of the model leaves its pair unscored, and a note says so."""
    scorer = make(bert)
    scorer.warmup()
    run = torch_model.LoadedModel.run

    def broken(self, inputs):
        values = run(self, inputs)
        values[[len(one) == 8 for one in inputs]] = np.nan
        return values

    monkeypatch.setattr(torch_model.LoadedModel, "run", broken)
    scores = scorer.score(PAIRS)
    assert scores.scored.tolist() == [count != 2 for count in range(1, 9)]
    assert scores.reason == "bad_reply"


@pytest.mark.parametrize(
    "remake",
    [
        lambda one: pickle.loads(pickle.dumps(one)),
        copy.copy,
        copy.deepcopy,
        lambda one: dataclasses.replace(one, activation="sigmoid"),
        lambda one: dataclasses.replace(one, max_length=16),
        lambda one: dataclasses.replace(one, prompt="zeta ", batch_size=8),
    ],
    ids=["pickle", "copy", "deepcopy", "activation", "max_length", "prompt"],
)
def test_copies_never_load_again(bert, remake, monkeypatch):
    """However an instance is made again, it finds the loaded model."""
    scorer = make(bert)
    scorer.warmup()
    monkeypatch.setattr(torch_model, "_open", None)
    again = remake(scorer)
    assert again.score(PAIRS).scored.all()
    assert again._state.current.loaded is scorer._state.current.loaded


def test_a_model_goes_with_its_last_user(tmp_path):
    """Loaded models are referenced weakly: one that is not in use is freed."""
    scorer = make(torch_tiny.bert(tmp_path))
    scorer.warmup()
    held = weakref.ref(scorer._state.current.loaded)
    sessions.forget()
    assert held() is not None
    del scorer
    gc.collect()
    assert held() is None


def test_texts_never_enter_logs(bert, caplog):
    """Scoring logs neither query nor document."""
    with caplog.at_level(logging.DEBUG):
        make(bert).score([("alpha secretquery", "beta secretdocument " * 300)])
    assert "secret" not in caplog.text


def test_an_interrupted_batch_stops_between_runs(bert):
    """After an interrupt, a batch runs no further group."""
    scorer = make(bert, batch_size=8)
    scorer.warmup()
    interrupt = Interrupt()
    interrupt.stop()
    ready = scorer._state.current
    assert [one.logit for one in ready.run(PAIRS, {}, interrupt)] == [0.0] * len(PAIRS)


LONG = "beta gamma delta " * 400


def test_long_texts_are_parted_for_it(bert):
    """Windows cover the text, and each is read whole beside the query."""
    encoder = make(bert, prompt="search: ")
    (parts,) = encoder.windows("alpha beta", [LONG], overlap=4)
    spans = list(parts)
    assert spans[0][0] == 0
    assert spans[-1][1] == len(LONG)
    assert all(later[0] <= before[1] for before, later in pairwise(spans))
    pairs = [("alpha beta", LONG[start:end]) for start, end in spans]
    assert not encoder.score(pairs).truncated.any()


def test_what_its_scores_depend_on_is_told(bert):
    """The cache key is that of equal configurations, loaded or not, and of no other backend."""
    one, same = make(bert), make(bert)
    before = one.cache_key
    one.warmup()
    assert before == one.cache_key == same.cache_key
    assert before != make(bert, prompt="search: ").cache_key
    assert before != make(bert, max_length=20).cache_key


def test_its_scores_can_be_cached(bert):
    """A cached score is the score, and nothing is run for it."""
    cached = Cached(make(bert))
    first, again = cached.score(PAIRS), cached.score(PAIRS)
    assert first.values.tolist() == again.values.tolist()
    assert (again.usage.pairs, again.usage.cached) == (0, len(PAIRS))
