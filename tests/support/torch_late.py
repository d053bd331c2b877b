"""Tiny but real late-interaction models with random weights, saved as their makers save them."""

from __future__ import annotations

import json
import string
from typing import TYPE_CHECKING

import sentence_transformers
import tiny
import torch
import transformers
from safetensors.torch import load_file, save_file
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

if TYPE_CHECKING:
    from pathlib import Path

MARKS = ("[Q]", "[D]", "[MASK]", "[unused0]", "[unused1]")


def backbone(directory: Path) -> Path:
    """Save a BERT that embeds texts, with the tokens that mark queries and documents."""
    torch.manual_seed(0)
    made = tiny.tokenizer()
    made.add_special_tokens(list(MARKS))
    made.add_tokens([one for one in ".,;" if made.token_to_id(one) is None])
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=128,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    ).save_pretrained(directory)
    config = transformers.BertConfig(
        vocab_size=len(made.get_vocab()),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
        initializer_range=0.3,
    )
    transformers.BertModel(config).eval().save_pretrained(directory)
    return directory


def multi_vector(directory: Path, *, expansion=None, prompts=None, extra=()) -> Path:
    """Save a multi-vector model of sentence-transformers 6: projection, mask, unit length."""
    source = backbone(directory.with_name(f"{directory.name}-backbone"))
    torch.manual_seed(1)
    reads = Transformer(str(source), query_expansion=expansion, document_length=48)
    modules = [
        reads,
        Dense(
            in_features=32,
            out_features=8,
            bias=False,
            activation_function=torch.nn.Identity(),
            module_input_name="token_embeddings",
        ),
        MultiVectorMask(skiplist_words=list(string.punctuation)),
        Normalize(module_input_name="token_embeddings"),
        *extra,
    ]
    model = sentence_transformers.MultiVectorEncoder(
        modules=modules, device="cpu", prompts=prompts or {"query": "", "document": ""}
    )
    model.save_pretrained(str(directory))
    return directory


def colbert(directory: Path) -> Path:
    """Save a checkpoint as Stanford's ColBERT does: `linear.weight` beside the encoder's."""
    backbone(directory)
    torch.manual_seed(2)
    encoder = load_file(directory / "model.safetensors")
    weights = {f"bert.{name}": one for name, one in encoder.items()}
    weights["linear.weight"] = torch.randn(8, 32)
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((directory / "config.json").read_text())
    config["architectures"] = ["HF_ColBERT"]
    (directory / "config.json").write_text(json.dumps(config))
    said = {"query_maxlen": 16, "doc_maxlen": 60, "mask_punctuation": True}
    said |= {"query_token_id": "[unused0]", "doc_token_id": "[unused1]"}
    (directory / "artifact.metadata").write_text(json.dumps(said))
    return directory
