"""Tiny but real models: ONNX graphs with fixed random weights and a WordPiece tokenizer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path

WORDS = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
WIDTH = 16


def tokenizer() -> Tokenizer:
    """A BERT-like WordPiece tokenizer whose vocabulary is a few words and every letter."""
    pieces = [*SPECIAL, *WORDS.split(), *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    made = Tokenizer(
        models.WordPiece(
            {piece: number for number, piece in enumerate(pieces)},
            unk_token="[UNK]",
            max_input_chars_per_word=100,
        )
    )
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return made


def graph(  # noqa: PLR0913 - one argument for each kind of model
    *,
    labels: int = 1,
    inputs: tuple[str, ...] = ("input_ids", "attention_mask", "token_type_ids"),
    dtype: int = TensorProto.INT64,
    seed: int = 0,
    work: int = 0,
    broken: bool = False,
    output: str = "logits",
    extra_input: str | None = None,
    endless: bool = False,
) -> onnx.ModelProto:
    """A graph that embeds tokens (and types), mixes them and makes one output.

    Args:
        labels: width of `logits`.
        inputs: what it asks for.
        dtype: of the inputs.
        seed: of the weights.
        work: rounds of a 384-wide matrix product for each token, to take time.
        broken: divide by zero, so that the output is not finite.
        output: `logits`, `sentence_embedding` or `last_hidden_state`.
        extra_input: an input that no text has.
        endless: loop for ever before the output.
    """
    random = np.random.default_rng(seed)
    weights = {
        "words": random.normal(size=(len(tokenizer().get_vocab()), WIDTH)),
        "types": random.normal(size=(2, WIDTH)),
        "mix": random.normal(size=(WIDTH, WIDTH)),
        "head": random.normal(size=(WIDTH, labels)),
        "wide": random.normal(size=(WIDTH, 384)) / 10,
        "work": random.normal(size=(384, 384)) / 20,
        "narrow": random.normal(size=(384, WIDTH)) * 1e-6,
        "zero": np.zeros(1),
    }
    nodes = [helper.make_node("Gather", ["words", "input_ids"], ["embedded"])]
    if "token_type_ids" in inputs:
        nodes += [
            helper.make_node("Gather", ["types", "token_type_ids"], ["typed"]),
            helper.make_node("Mul", ["embedded", "typed"], ["both"]),
        ]
    else:
        nodes.append(helper.make_node("Identity", ["embedded"], ["both"]))
    nodes += [
        helper.make_node("MatMul", ["both", "mix"], ["mixed"]),
        helper.make_node("Tanh", ["mixed"], ["light"]),
    ]
    last = "light"
    if work:
        nodes.append(helper.make_node("MatMul", ["light", "wide"], ["work_0"]))
        for turn in range(work):
            nodes += [
                helper.make_node("MatMul", [f"work_{turn}", "work"], [f"product_{turn}"]),
                helper.make_node("Tanh", [f"product_{turn}"], [f"work_{turn + 1}"]),
            ]
        nodes += [
            helper.make_node("MatMul", [f"work_{work}", "narrow"], ["worked"]),
            helper.make_node("Add", ["light", "worked"], ["heavy"]),
        ]
        last = "heavy"
    nodes.append(helper.make_node("ReduceMean", [last], ["mean"], axes=[1], keepdims=0))
    shapes: dict[str, list[int | str]] = {
        "logits": ["batch", labels],
        "sentence_embedding": ["batch", WIDTH],
        "last_hidden_state": ["batch", "tokens", WIDTH],
    }
    if output == "logits":
        nodes.append(helper.make_node("MatMul", ["mean", "head"], ["raw"]))
    elif output == "sentence_embedding":
        nodes.append(helper.make_node("LpNormalization", ["mean"], ["raw"], axis=1, p=2))
    else:
        nodes.append(helper.make_node("Identity", [last], ["raw"]))
    if endless:
        nodes.append(helper.make_node("Loop", ["", "true", "raw"], ["looped"], body=_forever()))
    nodes.append(
        helper.make_node("Div", ["raw", "zero"], [output])
        if broken
        else helper.make_node("Identity", ["looped" if endless else "raw"], [output])
    )
    asked = [helper.make_tensor_value_info(name, dtype, ["batch", "tokens"]) for name in inputs]
    if extra_input:
        asked.append(helper.make_tensor_value_info(extra_input, dtype, ["batch"]))
    made = helper.make_model(
        helper.make_graph(
            nodes,
            "tiny",
            asked,
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, shapes[output])],
            [
                numpy_helper.from_array(value.astype(np.float32), name)
                for name, value in weights.items()
            ]
            + [numpy_helper.from_array(np.ones((), np.bool_), "true")],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
    )
    made.ir_version = 8
    onnx.checker.check_model(made)
    return made


def save_apart(directory: Path, weights: str, **options) -> Path:
    """Write a model directory whose weights lie in a file of their own."""
    save(directory, **options)
    (directory / weights).parent.mkdir(parents=True, exist_ok=True)
    onnx.save_model(
        graph(**options),
        directory / "model.onnx",
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location=weights,
        size_threshold=0,
    )
    return directory


def _forever() -> onnx.GraphProto:
    """The body of a loop whose condition stays true."""
    value = helper.make_tensor_value_info
    return helper.make_graph(
        [
            helper.make_node("Identity", ["condition"], ["again"]),
            helper.make_node("Tanh", ["before"], ["after"]),
        ],
        "forever",
        [
            value("turn", TensorProto.INT64, []),
            value("condition", TensorProto.BOOL, []),
            value("before", TensorProto.FLOAT, None),
        ],
        [value("again", TensorProto.BOOL, []), value("after", TensorProto.FLOAT, None)],
    )


def save(directory: Path, *, file: str = "model.onnx", config: object = None, **options) -> Path:
    """Write a model directory: the graph, the tokenizer and `config.json`."""
    (directory / file).parent.mkdir(parents=True, exist_ok=True)
    onnx.save(graph(**options), directory / file)
    tokenizer().save(str(directory / "tokenizer.json"))
    stated = {"max_position_embeddings": 128, "model_type": "bert"} if config is None else config
    (directory / "config.json").write_text(json.dumps(stated), "utf-8")
    return directory
