"""Tiny but real torch models with random weights, saved as their libraries save them."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING

import sentence_transformers
import tiny
import torch
import transformers

if TYPE_CHECKING:
    from pathlib import Path

IDENTITY = "torch.nn.modules.linear.Identity"
SIGMOID = "torch.nn.modules.activation.Sigmoid"
TEMPLATE = (
    "{% for one in messages %}{{ one.role }} : {{ one.content }} . {% endfor %}"
    "{% if add_generation_prompt %}{% endif %}answer :"
)


def _tokenizer(directory: Path, *, extra: tuple[str, ...] = (), positions: int = 128, **options):
    made = tiny.tokenizer()
    made.add_tokens(list(extra))
    wrapped = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=positions,
        **options,
    )
    wrapped.save_pretrained(directory)
    return len(made.get_vocab())


def bert(
    directory: Path,
    *,
    labels: int = 1,
    activation: str | None = None,
    positions: int = 128,
    hidden: int = 32,
    head: bool = True,
    states_inputs: bool = True,
) -> Path:
    """Save a BERT that scores pairs.

    Args:
        directory: where to.
        labels: how many logits it has.
        activation: what its settings name as the activation.
        positions: tokens it can read.
        hidden: its width.
        head: without one it embeds texts.
        states_inputs: whether its tokenizer says that it makes type ids.
    """
    torch.manual_seed(0)
    inputs = {"model_input_names": ["input_ids", "token_type_ids", "attention_mask"]}
    size = _tokenizer(directory, positions=positions, **inputs if states_inputs else {})
    config = transformers.BertConfig(
        vocab_size=size,
        hidden_size=hidden,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=hidden * 2,
        max_position_embeddings=positions,
        num_labels=labels,
        initializer_range=0.3,
    )
    made = transformers.BertForSequenceClassification if head else transformers.BertModel
    made(config).eval().save_pretrained(directory)
    if activation is not None:
        _change(directory / "config.json", sentence_transformers={"activation_fn": activation})
    return directory


def qwen(
    directory: Path,
    *,
    template: str | None = TEMPLATE,
    answers: bool = True,
    positions: int = 256,
) -> Path:
    """Save a causal language model; `answers` says whether it knows yes and no."""
    torch.manual_seed(0)
    extra = ("yes", "no") if answers else ()
    size = _tokenizer(directory, extra=extra, positions=positions)
    config = transformers.Qwen3Config(
        vocab_size=size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        intermediate_size=64,
        max_position_embeddings=positions,
        initializer_range=0.3,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=3,
    )
    transformers.Qwen3ForCausalLM(config).eval().save_pretrained(directory)
    if template is not None:
        (directory / "chat_template.jinja").write_text(template, "utf-8")
    return directory


def prompts(source: Path, directory: Path, **named: str) -> Path:
    """Save a model again as sentence-transformers does, with prompts; the first is the default."""
    sentence_transformers.CrossEncoder(
        str(source), device="cpu", prompts=named, default_prompt_name=next(iter(named))
    ).save_pretrained(str(directory))
    return directory


def export(directory: Path) -> None:
    """Write the BERT in a directory as an ONNX graph beside its weights."""
    model = transformers.BertForSequenceClassification.from_pretrained(
        directory, attn_implementation="eager"
    ).eval()
    names = ["input_ids", "attention_mask", "token_type_ids"]
    ones = torch.ones(1, 8, dtype=torch.long)
    axes = {name: {0: "batch", 1: "tokens"} for name in names}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's, of branches that are constant here
        torch.onnx.export(
            model,
            tuple(ones for _ in names),
            str(directory / "model.onnx"),
            input_names=names,
            output_names=["logits"],
            dynamic_axes=axes,
            opset_version=17,
            dynamo=False,
        )


def _change(file: Path, **changes: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | changes), "utf-8")
