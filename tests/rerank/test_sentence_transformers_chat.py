"""Causal language models as cross-encoders: the answers yes and no, in a chat template or not."""

import numpy as np
import pytest

reason = "the extra sentence-transformers is not installed: make test-torch"
sentence_transformers = pytest.importorskip("sentence_transformers", reason=reason)
import torch  # noqa: E402 - see above
import torch_tiny  # noqa: E402 - see above

from runoff.errors import InvalidArgument  # noqa: E402 - see above
from runoff.rerank import CrossEncoder  # noqa: E402 - see above

PAIRS = [("alpha beta", "gamma " * count + "delta") for count in range(1, 9)]
MODULAR = hasattr(sentence_transformers.CrossEncoder, "preprocess")
modular = pytest.mark.skipif(not MODULAR, reason="causal models need sentence-transformers 5.4")


def make(directory, **options):
    return CrossEncoder(directory, backend="torch", device="cpu", **options)


def reference(directory, pairs, prompt=""):
    """Render, tokenize and run with transformers alone; the log-odds of yes against no."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    model = transformers.AutoModelForCausalLM.from_pretrained(directory).eval()
    yes, no = tokenizer.convert_tokens_to_ids(["yes", "no"])
    scores = []
    for query, document in pairs:
        system = f"system : {prompt} . " if prompt else ""
        text = f"{system}query : {query} . document : {document} . answer :"
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0, -1]
        scores.append(float(logits[yes] - logits[no]))
    return np.array(scores)


@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    return torch_tiny.qwen(tmp_path_factory.mktemp("qwen"))


@pytest.mark.skipif(MODULAR, reason="this sentence-transformers runs causal models")
def test_an_old_version_is_named(qwen):
    """Where sentence-transformers has no yes/no head, the error says which version has."""
    with pytest.raises(InvalidArgument, match=r"5\.4 or newer.*pip install --upgrade"):
        make(qwen).warmup()


@modular
def test_the_score_is_the_log_odds_of_yes(qwen):
    """Scores are the logit of yes above that of no after the rendered template."""
    scores = make(qwen).score(PAIRS)
    np.testing.assert_allclose(scores.values, reference(qwen, PAIRS), rtol=0, atol=1e-4)
    assert float(np.ptp(scores.values)) > 0.1
    assert not scores.truncated.any()


@modular
def test_a_prompt_is_the_system_message(qwen):
    """A prompt is rendered as the system message, and named prompts are found."""
    scores = make(qwen, prompt="zeta eta").score(PAIRS)
    expected = reference(qwen, PAIRS, "zeta eta")
    np.testing.assert_allclose(scores.values, expected, rtol=0, atol=1e-4)


@modular
@pytest.mark.parametrize("batch_size", [None, 4])
def test_a_score_does_not_depend_on_the_pairs_beside_it(qwen, batch_size):
    """A pair alone scores what it scores among others, within 1e-5."""
    pairs = [("alpha beta", "gamma delta " * (number % 9)) for number in range(30)]
    scorer = make(qwen, batch_size=batch_size)
    together = scorer.score(pairs).values
    alone = [scorer.score([pair]).values[0] for pair in pairs]
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5)


@modular
def test_padded_runs_score_the_same(qwen):
    """Padded on the left, as on a GPU, inputs of several lengths score as alone."""
    scorer = make(qwen)
    expected = scorer.score(PAIRS).values
    ready = scorer._state.current
    encoded = [ready.run.texts.encode(query, text, {}) for query, text in PAIRS]
    np.testing.assert_allclose(ready.loaded.run(encoded).ravel(), expected, rtol=0, atol=1e-5)


@modular
@pytest.mark.parametrize(
    ("query", "document", "kept"),
    [
        ("alpha beta", "gamma delta " * 500, ("alpha beta", "gamma delta")),
        ("alpha beta " * 500, "gamma", ("alpha beta", "gamma")),
        ("alpha beta " * 500, "gamma delta " * 500, ("alpha beta", "gamma delta")),
    ],
)
def test_the_template_is_never_cut(qwen, query, document, kept):
    """Too long, the texts are cut and counted, and the model still answers where it should."""
    scorer = make(qwen, max_length=80)
    scores = scorer.score([(query, document)])
    assert scores.truncated.tolist() == [len(document) > len("gamma")]
    assert bool(scores.notes) is (len(query) > len("alpha beta"))
    assert 76 <= scores.usage.tokens <= 80
    ready = scorer._state.current
    ids = ready.run.texts.encode(query, document, {}).ids[0].tolist()
    text = ready.loaded.tokenizer.decode(ids)
    ending = ready.loaded.tokenizer.decode(ready.loaded.render("", "", "")[-6:])
    assert text.endswith(ending)
    asked, read = text.count(kept[0]), text.count(kept[1].partition(" ")[0])
    assert asked == (1 if query == kept[0] else asked) > 0
    assert read > 0


@modular
def test_a_template_longer_than_the_limit_is_refused(qwen):
    """A limit that leaves no room for text beside the template is named with the least."""
    with pytest.raises(InvalidArgument, match=r"the chat template takes \d+") as caught:
        make(qwen, max_length=10).warmup()
    assert caught.value.argument == "max_length"


@modular
def test_a_template_without_the_pair_is_refused(tmp_path):
    """A template that leaves out query and document would score every pair the same."""
    template = "{% for one in messages if one.role == 'user' %}{{ one.content }}{% endfor %}answer"
    directory = torch_tiny.qwen(tmp_path, template=template)
    with pytest.raises(InvalidArgument, match="chat template") as caught:
        make(directory).warmup()
    assert caught.value.argument == "model"


@modular
def test_a_model_without_yes_and_no_is_refused(tmp_path):
    """Where yes and no are the same unknown token, every score would be 0."""
    with pytest.raises(InvalidArgument, match='no tokens "yes" and "no"'):
        make(torch_tiny.qwen(tmp_path, answers=False)).warmup()


@modular
def test_without_a_template_declared_answers_are_read(tmp_path):
    """A causal model saved as a cross-encoder without a template reads the texts joined."""
    model = sentence_transformers.CrossEncoder(
        str(torch_tiny.qwen(tmp_path / "base", template=None)),
        device="cpu",
        activation_fn=torch.nn.Identity(),
    )
    model.save_pretrained(str(tmp_path / "saved"))
    expected = [model.predict([pair])[0] for pair in PAIRS]
    scores = make(tmp_path / "saved").score(PAIRS)
    np.testing.assert_allclose(scores.values, expected, rtol=0, atol=1e-5)


@modular
def test_a_language_model_that_nothing_asks_is_refused(tmp_path):
    """Without template and declared answers it would go on with the text, and score at random."""
    with pytest.raises(InvalidArgument, match="neither a chat template nor") as caught:
        make(torch_tiny.qwen(tmp_path, template=None)).warmup()
    assert caught.value.argument == "model"


@modular
def test_long_texts_are_parted_for_it(qwen):
    """Windows cover the text, and each is read whole inside the template."""
    encoder = make(qwen, max_length=60)
    text = "beta gamma delta " * 60
    (parts,) = encoder.windows("alpha", [text])
    spans = list(parts)
    assert (spans[0][0], spans[-1][1]) == (0, len(text))
    pairs = [("alpha", text[start:end]) for start, end in spans]
    assert not encoder.score(pairs).truncated.any()
