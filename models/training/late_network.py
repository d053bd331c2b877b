"""The student that becomes runoff-late: token vectors and the pooled vector of one pass."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from common import backbone_folder, pooled
from late_teacher import alike, marks
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModel

if TYPE_CHECKING:
    from collections.abc import Sequence

DIMS = 128
FROZEN = 3  # of six layers, from below: what they make of a text is made once
TOKENS = 2000  # of a batch that is not learned from
SCALE = 20.0  # of a score, before the softmax


@dataclass
class Vectors:
    """What the network gives for n texts.

    Attributes:
        tokens: unit vectors, shape (n, most, DIMS).
        kept: which of them count, shape (n, most).
        weights: of each token in a query, shape (n, most); 0 where it does not count.
        pooled: unit vectors, shape (n, 384).
    """

    tokens: Tensor
    kept: Tensor
    weights: Tensor
    pooled: Tensor


class Late(nn.Module):
    """all-MiniLM-L6-v2, a projection of its token vectors less a mean, and a weight a token.

    Args:
        dims: of the projected vectors.

    Attributes:
        bfloat16: whether the encoder's products are made in it.
    """

    def __init__(self, dims: int = DIMS) -> None:
        super().__init__()
        self.bfloat16 = True
        self.encoder = AutoModel.from_pretrained(
            backbone_folder(),
            local_files_only=True,
            add_pooling_layer=False,
            hidden_dropout_prob=0.0,  # training sees a text two or three times
            attention_probs_dropout_prob=0.0,
        )
        hidden, vocabulary = self.encoder.config.hidden_size, self.encoder.config.vocab_size
        self.projection = nn.Parameter(torch.zeros(hidden, dims))
        self.log_weights = nn.Parameter(torch.zeros(vocabulary))
        self.scale = nn.Parameter(torch.tensor(SCALE))
        self.register_buffer("mean", torch.zeros(hidden))
        tokenizer = Tokenizer.from_file(str(backbone_folder() / "tokenizer.json"))
        self.register_buffer("marks", marks(tokenizer.get_vocab()), persistent=False)

    def lower(self, ids: Tensor, mask: Tensor) -> Tensor:
        """What the frozen layers make of token ids: shape (n, most, 384)."""
        hidden = self.encoder.embeddings(ids, torch.zeros_like(ids))
        return self._through(self.encoder.encoder.layer[:FROZEN], hidden, mask)

    def upper(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """What the further layers make of that: the vectors of the last layer, the same shape."""
        return self._through(self.encoder.encoder.layer[FROZEN:], hidden, mask)

    def _through(self, layers: nn.ModuleList, hidden: Tensor, mask: Tensor) -> Tensor:
        seen = mask[:, None, None, :].bool()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bfloat16):
            for layer in layers:
                hidden = layer(hidden, seen)
        return hidden.float()

    def hidden(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The vectors of the last layer, shape (n, most, 384)."""
        return self.upper(self.lower(ids, mask), mask)

    def forward(self, ids: Tensor, mask: Tensor) -> Vectors:
        """Vectors of texts as token ids (n, most)."""
        return self.vectors(ids, mask, self.lower(ids, mask))

    def vectors(self, ids: Tensor, mask: Tensor, lower: Tensor) -> Vectors:
        """Vectors of texts, from what the frozen layers make of them."""
        hidden = self.upper(lower, mask)
        inner = mask.bool()
        kept = inner & ~self.marks[ids]
        kept |= inner & ~kept.any(1, keepdim=True)
        return Vectors(
            normalize((hidden - self.mean) @ self.projection, dim=-1),
            kept,
            self.log_weights[ids].exp() * kept,
            pooled(hidden, mask),
        )


def batch(ids: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Token ids of n texts as one tensor, and its mask."""
    mask = pad_sequence([torch.ones_like(one) for one in ids], batch_first=True)
    return pad_sequence(list(ids), batch_first=True), mask


def tokenised(texts: Sequence[str], length: int) -> list[Tensor]:
    """The token ids of texts, cut to a length."""
    tokenizer = Tokenizer.from_file(str(backbone_folder() / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(length)
    return [torch.tensor(one.ids) for one in tokenizer.encode_batch(list(texts))]


def maxsim(queries: Vectors, documents: Vectors) -> Tensor:
    """The weighted mean, over query tokens, of the best cosine: shape (queries, documents)."""
    similar = torch.einsum("qid,njd->qnij", queries.tokens, documents.tokens)
    best = similar.masked_fill(~documents.kept[None, :, None, :], -1.0).amax(-1).float()
    weights = queries.weights / queries.weights.sum(1, keepdim=True)
    return (best * weights[:, None]).sum(-1)


def start(net: Late, texts: Sequence[Tensor], rarity: Tensor, *, centred: bool) -> None:
    """Set projection, mean and weights before training.

    The projection takes the principal components of the token vectors of some texts, less their
    mean if `centred`; a token's weight is the root of its inverse document frequency.

    Args:
        net: is changed.
        texts: token ids of a broad sample.
        rarity: the inverse document frequency of each id.
        centred: whether the mean is subtracted.
    """
    found = []
    with torch.inference_mode():
        for which in alike([len(one) for one in texts], TOKENS):
            ids, mask = batch([texts[at] for at in which])
            found.append(net.hidden(ids, mask)[mask.bool() & ~net.marks[ids]])
    vectors = torch.cat(found).double()
    mean = vectors.mean(0) if centred else torch.zeros_like(vectors[0])
    units = normalize(vectors - mean, dim=-1)
    _, axes = torch.linalg.eigh(units.T @ units)
    with torch.no_grad():
        net.mean.copy_(mean)
        net.projection.copy_(axes.flip(1)[:, : net.projection.shape[1]])
        net.log_weights.copy_((rarity / rarity.mean()).sqrt().log())


class Lower:
    """What the frozen layers make of n texts, made once: float16, on one core each.

    Args:
        net: its frozen layers are used here, and never changed.
        texts: as token ids.
    """

    def __init__(self, net: Late, texts: Sequence[Tensor]) -> None:
        self.texts = texts
        self._made = [torch.empty(0)] * len(texts)

        def run(which: list[int]) -> None:
            ids, mask = batch([texts[at] for at in which])
            with torch.no_grad():
                for at, hidden in zip(which, net.lower(ids, mask), strict=True):
                    self._made[at] = hidden[: len(texts[at])].to(torch.float16)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(run, alike([len(one) for one in texts], TOKENS)))

    def __call__(self, which: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Ids, mask and lower states of some texts, as `Late.vectors` takes them."""
        ids, mask = batch([self.texts[at] for at in which])
        return ids, mask, pad_sequence([self._made[at].float() for at in which], batch_first=True)
