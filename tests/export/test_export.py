"""`runoff.export`: what is written scores as torch does, appears whole, or is refused by name."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("torch", reason="the export extra is not installed")
pytest.importorskip("sentence_transformers", reason="the export extra is not installed")
pytest.importorskip("onnx", reason="the export extra is not installed")
import sentence_transformers
import torch
import torch_tiny
import transformers
from tokenizers import processors

import onnx
from runoff.errors import ExportFailed, InvalidArgument, ModelDamaged, ModelNotFound
from runoff.export import export_cross_encoder
from runoff.export._folder import FP32, INT8
from runoff.rerank import CrossEncoder
from runoff.scores import ScoreKind

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning"
    ),  # of torch, transformers and their own
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
PAIRS = [
    ("alpha", "alpha beta"),
    ("alpha beta gamma", "delta epsilon"),
    ("pi rho", "pi " * 40),
    ("nu xi", "omicron kappa " * 90),  # longer than 128 tokens
    ("mu", ""),
]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def exported(source, out, **options):
    return export_cross_encoder(source, out, **{"precision": "fp32"} | options)


def assert_agree(source, out):
    """Torch and the export agree on golden pairs within 1e-4, and on what is cut and counted."""
    expected = CrossEncoder(source, backend="torch", device="cpu").score(PAIRS)
    found = CrossEncoder(out).score(PAIRS)
    assert np.ptp(expected.values) > 0.01  # equal scores would show nothing
    np.testing.assert_allclose(found.values, expected.values, atol=1e-4)
    assert found.truncated.tolist() == expected.truncated.tolist()
    assert found.usage.tokens == expected.usage.tokens
    assert found.kind is expected.kind
    return found


def test_scores_are_those_of_torch(tmp_path):
    """Golden pairs agree within 1e-4, in what is cut and counted exactly; the report says so."""
    source = torch_tiny.bert(tmp_path / "bert", activation=torch_tiny.SIGMOID)
    made = exported(source, tmp_path / "out")
    found = assert_agree(source, tmp_path / "out")
    assert found.kind is ScoreKind.LOGIT  # whatever activation the settings name
    assert found.truncated.tolist() == [False, False, False, True, False]
    assert made.difference < 1e-4
    assert made.agreement is None
    assert (made.max_length, made.pairs) == (128, 64)
    assert 0 < made.truncated < made.pairs
    assert made.bytes == {"fp32": (tmp_path / "out/model.onnx").stat().st_size}
    assert names(tmp_path) == ["bert", "out"]


def test_what_is_written_needs_no_torch(tmp_path):
    """A fresh interpreter loads and runs the folder without torch, transformers or onnx."""
    exported(torch_tiny.bert(tmp_path / "bert"), tmp_path / "out")
    code = (
        "import sys; from runoff.rerank import CrossEncoder; "
        "print(CrossEncoder(sys.argv[1]).score([('alpha', 'beta')]).scored.all()); "
        "print({'torch', 'transformers', 'sentence_transformers', 'onnx'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == ["True", "set()"]


def test_a_model_without_token_types(tmp_path):
    """A RoBERTa, whose graph takes no token types and whose positions start behind the padding."""
    source = tmp_path / "roberta"
    torch.manual_seed(0)
    made = torch_tiny.tiny.tokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] [SEP] $B [SEP]",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        unk_token="[UNK]",
        model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(source)
    config = transformers.RobertaConfig(
        vocab_size=len(made.get_vocab()),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=129,
        type_vocab_size=1,
        num_labels=1,
        pad_token_id=0,
        initializer_range=0.3,
    )
    transformers.RobertaForSequenceClassification(config).eval().save_pretrained(source)
    assert exported(source, tmp_path / "out").max_length == 128
    assert_agree(source, tmp_path / "out")
    import onnxruntime

    session = onnxruntime.InferenceSession(str(tmp_path / "out/model.onnx"))
    assert [one.name for one in session.get_inputs()] == ["input_ids"]  # nothing is padded


def test_two_labels_score_their_log_odds(tmp_path):
    """A head with two labels is exported with both."""
    source = torch_tiny.bert(tmp_path / "bert", labels=2)
    exported(source, tmp_path / "out")
    assert_agree(source, tmp_path / "out")


def test_a_head_that_gives_probabilities_is_told_apart(tmp_path):
    """Pooling, a dense head and its sigmoid are in the graph, and its scores are probabilities."""
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
    assert exported(tmp_path / "whole", tmp_path / "out").kind == "probability"
    assert assert_agree(tmp_path / "whole", tmp_path / "out").kind is ScoreKind.PROBABILITY
    with pytest.raises(InvalidArgument, match="returns probabilities already"):
        CrossEncoder(tmp_path / "out", activation="sigmoid").warmup()


def test_the_length_asked_for_is_kept(tmp_path):
    """`max_length` is what the export reads; more than the model has positions is refused."""
    source = torch_tiny.bert(tmp_path / "bert")
    assert exported(source, tmp_path / "out", max_length=32).max_length == 32
    scores = CrossEncoder(tmp_path / "out").score([("alpha", "beta " * 50)])
    assert scores.usage.tokens == 32
    with pytest.raises(InvalidArgument, match="reads at most 128 tokens"):
        exported(source, tmp_path / "more", max_length=129)


def test_int8_is_taken_where_it_is_there(tmp_path):
    """Both graphs are written; `CrossEncoder` takes int8, and fp32 where that is asked for."""
    source = torch_tiny.bert(tmp_path / "bert")
    made = exported(source, tmp_path / "out", precision="both", agreement=0.5)
    assert made.bytes.keys() == {"fp32", "int8"}
    assert made.bytes["int8"] < made.bytes["fp32"]
    assert 0.5 < made.agreement < 1
    precisions = [CrossEncoder(tmp_path / "out").score(PAIRS).model.precision]
    precisions += [CrossEncoder(tmp_path / "out", precision="fp32").score(PAIRS).model.precision]
    assert precisions == ["int8", "fp32"]


def test_the_int8_graph_alone_has_an_operator_of_onnxruntime(tmp_path):
    """Other runtimes read fp32; int8 is for onnxruntime, and its attention is one operator."""
    source = torch_tiny.bert(tmp_path / "bert")
    exported(source, tmp_path / "out", precision="both", agreement=0.5)
    whole, quick = (onnx.load(tmp_path / "out" / name) for name in (FP32, INT8))
    kinds = [[node.op_type for node in one.graph.node] for one in (whole, quick)]
    assert kinds[1].count("MultiHeadAttention") == kinds[0].count("Softmax") > 0
    assert "Softmax" not in kinds[1]
    assert {one.domain for one in whole.opset_import} == {""}


def test_int8_alone(tmp_path):
    """With `precision="int8"` no other graph is left in the folder."""
    source = torch_tiny.bert(tmp_path / "bert")
    exported(source, tmp_path / "out", precision="int8", agreement=0.5)
    graphs = [name for name in names(tmp_path / "out") if ".onnx" in name]
    assert graphs == ["model_int8.onnx"]


def test_int8_that_orders_otherwise_is_refused(tmp_path):
    """With random weights int8 changes the order: no folder is left, only an error with remedy."""
    source = torch_tiny.bert(tmp_path / "bert")
    with pytest.raises(ExportFailed, match=r"fp32 is 0\.9.*precision=\"fp32\""):
        export_cross_encoder(source, tmp_path / "out")
    assert names(tmp_path) == ["bert"]


def test_a_graph_that_scores_otherwise_is_refused(tmp_path, monkeypatch):
    """A graph of other weights is found out, and nothing is left of it."""
    from runoff.export import _cross_encoder as cross_encoder

    def altered(net, inputs, output, target):
        with torch.no_grad():
            next(net.parameters()).mul_(1.1)
        write(net, inputs, output, target)

    write = cross_encoder.to_onnx
    monkeypatch.setattr(cross_encoder, "to_onnx", altered)
    with pytest.raises(ExportFailed, match="differ from torch's"):
        exported(torch_tiny.bert(tmp_path / "bert"), tmp_path / "out")
    assert names(tmp_path) == ["bert"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (torch_tiny.qwen, "Qwen3ForCausalLM.*does not support"),
        (lambda path: torch_tiny.bert(path, head=False), "its architecture is BertModel"),
        (lambda path: torch_tiny.bert(path, labels=3), r"shape \(1, 3\)"),
    ],
    ids=["causal", "embedder", "three labels"],
)
def test_other_kinds_of_models_are_refused_by_name(tmp_path, make, message):
    """A causal language model, an embedder and a classifier cannot be exported."""
    with pytest.raises(InvalidArgument, match=message) as caught:
        exported(make(tmp_path / "model"), tmp_path / "out")
    assert caught.value.argument == "model"
    assert names(tmp_path) == ["model"]


def test_a_prompt_is_not_lost_unsaid(tmp_path):
    """A model whose settings put a text before each query is refused: ONNX scores would differ."""
    pytest.importorskip(
        "sentence_transformers.cross_encoder.modules", reason="prompts are saved since 5.4"
    )
    source = torch_tiny.bert(tmp_path / "bert")
    torch_tiny.prompts(source, tmp_path / "prompted", ask="kappa :")
    with pytest.raises(InvalidArgument, match="a text before each query"):
        exported(tmp_path / "prompted", tmp_path / "out")


def test_without_network_the_message_says_what_to_do(tmp_path):
    """A Hub model that is not cached: the error names it and the command that fetches it."""
    with pytest.raises(ModelNotFound, match='hf download nobody/nothing"'):
        exported("nobody/nothing", tmp_path / "out", local_files_only=True)


def test_an_altered_file_is_not_run(tmp_path):
    """A folder whose graph was changed since the export is refused when it is loaded."""
    exported(torch_tiny.bert(tmp_path / "bert"), tmp_path / "out")
    checksums = json.loads((tmp_path / "out/checksums.json").read_text())
    assert checksums.keys() == {"config.json", "model.onnx", "tokenizer.json"}
    with (tmp_path / "out/tokenizer.json").open("a") as stream:
        stream.write("\n")
    with pytest.raises(ModelDamaged, match="does not have the recorded checksum"):
        CrossEncoder(tmp_path / "out").warmup()


def test_what_the_model_says_of_itself_is_kept(tmp_path):
    """Language and blend are carried over, so that an export behaves as its model does."""
    source = torch_tiny.bert(tmp_path / "bert")
    torch_tiny._change(source / "config.json", language="en", default_blend=0.25)
    exported(source, tmp_path / "out")
    assert CrossEncoder(tmp_path / "out").default_blend == 0.25
    (note,) = CrossEncoder(tmp_path / "out").score([("面包", "面包和水")]).notes
    assert "reads English" in note


def test_killed_midway_nothing_counts(tmp_path):
    """A process killed while it writes leaves no folder under the name, and the next one works."""
    source = torch_tiny.bert(tmp_path / "bert")
    code = (
        "import sys, time; from runoff.export import export_cross_encoder; "
        "export_cross_encoder(sys.argv[1], sys.argv[2], precision='fp32', "
        "progress=lambda done, total: (print(done, flush=True), "
        "time.sleep(60) if done == 2 else None))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(source), str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as child:
        for line in child.stdout:
            if line.strip() == "2":  # loaded and traced
                break
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    left = [name for name in names(tmp_path) if name != "bert"]
    assert left
    assert all(name.startswith(".out-") and name.endswith(".partial") for name in left)
    assert exported(source, tmp_path / "out").folder == tmp_path / "out"
