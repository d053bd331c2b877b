"""Distil runoff-late from all-mpnet-base-v2: graded scores of batches about one topic.

A batch has queries of one topic with their passages, so that those of one query are hard for the
others (topic-aware sampling: Hofstaetter et al., 2021), and two passages a query out of the top of
BM25 and of the embeddings. The loss is the Kullback-Leibler divergence of the student's softmax
over all passages of the batch from the teacher's, for MaxSim and, by half, for the pooled vector.
A run that was stopped goes on with the same command.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import late_pairs
import numpy as np
import torch
from common import data_root
from late_network import FROZEN, SCALE, Late, Lower, maxsim, start, tokenised
from late_teacher import DOCUMENT, QUERY, Scores, Teacher
from torch.nn.functional import kl_div, log_softmax, one_hot

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

TRAINED = 10_000  # queries: more than that the teacher has no time for
WORKERS = 2  # batches at once, each on one core; a step takes their mean gradient
QUERIES, NEGATIVES = 16, 2  # in a batch, and mined a query
TEMPERATURE = 20.0  # by which the teacher's scores are multiplied
LABEL, POOLED = 0.1, 0.5  # shares: of the label in the target, of the pooled vector's loss
RATES = {"encoder": 5e-5, "projection": 3e-4, "weights": 3e-3, "scale": 2e-2}
WARM_UP = 60  # steps
DECAY = 0.01
LONGEST = 1.0  # of a gradient


def batches(topics: NDArray[np.int32], seed: int) -> list[NDArray[np.int64]]:
    """Indices of training queries in batches of one topic each, in random order; one epoch."""
    randomly = np.random.default_rng(seed)
    order = randomly.permutation(len(topics))
    order = order[np.argsort(topics[order], kind="stable")]
    found = [order[at : at + QUERIES] for at in range(0, len(order) - QUERIES + 1, QUERIES)]
    return [found[at] for at in randomly.permutation(len(found))]


def loss_of(scores: Tensor, target: Tensor) -> Tensor:
    """The divergence of the student's softmax from the target, a query."""
    return kl_div(log_softmax(scores, -1), target, reduction="batchmean")


class Lesson:
    """What is learned from: the student, texts, hard negatives, topics and the teacher's scores.

    Args:
        root: of the data.
        cache: folder of what is made once.
        centred: whether the student's vectors are less their mean.
    """

    def __init__(self, root: Path, cache: Path, *, centred: bool) -> None:
        pairs = late_pairs.load(root)
        hard, topics = late_pairs.negatives(pairs, cache)
        chosen = late_pairs.chosen(pairs, TRAINED)
        learned = np.flatnonzero(~pairs.held)[chosen]
        pool = np.unique(pairs.positives[learned])
        places = np.full(len(pairs.passages), -1)
        places[pool] = np.arange(len(pool))
        self._own = places[pairs.positives[learned]]
        self._hard = places[hard[chosen]]  # -1 where a passage is not trained on
        self.topics = topics[chosen]
        queries = [pairs.queries[at] for at in learned]
        passages = [pairs.passages[at] for at in pool]
        teacher = Teacher(cache)
        self._teacher = Scores(
            teacher.encode("queries", queries, QUERY),
            teacher.encode("passages", passages, DOCUMENT),
        )
        asked, told = tokenised(queries, QUERY), tokenised(passages, DOCUMENT)
        self.net = Late()
        start(self.net, told[::10], rarity(told, len(self.net.log_weights)), centred=centred)
        self._asked, self._told = Lower(self.net, asked), Lower(self.net, told)

    def gradients(
        self, number: int, chosen: NDArray[np.int64], learned: Sequence[Tensor]
    ) -> tuple[tuple[Tensor, ...], list[float]]:
        """The gradients of a batch's loss, and the loss of MaxSim and of the pooled vector."""
        documents = self._passages(chosen, number)
        target = (TEMPERATURE * self._teacher(chosen.tolist(), documents)).softmax(-1)
        places = torch.tensor([documents.index(one) for one in self._own[chosen].tolist()])
        target = (1 - LABEL) * target + LABEL * one_hot(places, len(documents))
        query = self.net.vectors(*self._asked(chosen.tolist()))
        document = self.net.vectors(*self._told(documents))
        late = loss_of(self.net.scale * maxsim(query, document), target)
        pooled = loss_of(SCALE * query.pooled @ document.pooled.T, target)
        found = torch.autograd.grad(late + POOLED * pooled, learned)
        return found, [late.item(), pooled.item()]

    def _passages(self, chosen: NDArray[np.int64], seed: int) -> list[int]:
        """The passages of a batch: those of its queries, then mined ones, each once."""
        randomly = np.random.default_rng(seed)
        found = dict.fromkeys(self._own[chosen].tolist())
        for query in chosen:
            mined = randomly.permutation(self._hard[query]).tolist()
            fresh = [one for one in mined if one >= 0 and one not in found]
            found.update(dict.fromkeys(fresh[:NEGATIVES]))
        return list(found)


class Training:
    """The state of a run: it is saved, and goes on from there.

    Args:
        out: the folder of checkpoints and log.
        net: at its start.
        seconds: how long the whole run takes.
        share: of the learning rates above.
    """

    def __init__(self, out: Path, net: Late, seconds: float, share: float) -> None:
        self.net, self.out, self._seconds, self._share = net, out, seconds, share
        net.encoder.requires_grad_(requires_grad=False)
        layers = list(net.encoder.encoder.layer[FROZEN:].parameters())
        for one in layers:
            one.requires_grad_(requires_grad=True)
        parts = {
            "encoder": layers,
            "projection": [net.projection],
            "weights": [net.log_weights],
            "scale": [net.scale],
        }
        self.learned = [one for part in parts.values() for one in part]
        self._optimiser = torch.optim.AdamW(
            [
                {"params": part, "weight_decay": DECAY if name == "encoder" else 0.0}
                for name, part in parts.items()
            ]
        )
        self.step, self.spent, self._since = 0, 0.0, time.monotonic()
        state = out / "state.pt"
        if state.exists():
            kept = torch.load(state, weights_only=True)
            net.load_state_dict(kept["net"])
            self._optimiser.load_state_dict(kept["optimiser"])
            self.step, self.spent = kept["step"], kept["spent"]

    @property
    def elapsed(self) -> float:
        """Seconds of training, those before a stop included."""
        return self.spent + time.monotonic() - self._since

    def learn(self, gradients: Sequence[Sequence[Tensor]]) -> None:
        """Take a step along the mean of the workers' gradients."""
        done = self.elapsed / self._seconds
        factor = self._share * min(1.0, (self.step + 1) / WARM_UP) * max(0.0, 1 - done)
        for group, rate in zip(self._optimiser.param_groups, RATES.values(), strict=True):
            group["lr"] = rate * factor
        for parameter, *parts in zip(self.learned, *gradients, strict=True):
            parameter.grad = torch.stack(parts).mean(0)
        torch.nn.utils.clip_grad_norm_(self.learned, LONGEST)
        self._optimiser.step()
        self.step += 1

    def save(self, name: str) -> None:
        """Write a checkpoint, and what the run goes on from."""
        torch.save(self.net.state_dict(), self.out / f"{name}.pt")
        kept: dict[str, Any] = {
            "net": self.net.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "step": self.step,
            "spent": self.elapsed,
        }
        torch.save(kept, self.out / "state.new")
        (self.out / "state.new").replace(self.out / "state.pt")

    def log(self, **values: float | str) -> None:
        """Add a line to log.jsonl, and print it."""
        line = json.dumps({"step": self.step, "seconds": round(self.elapsed), **values})
        print(line, flush=True)
        with (self.out / "log.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")


def main() -> None:
    """Train for as long as was asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoints")
    parser.add_argument("--cache", type=Path, required=True, help="folder of the teacher's vectors")
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--steps", type=int, help="stop after so many, for a trial")
    parser.add_argument("--rate", type=float, default=1.0, help="share of the learning rates")
    parser.add_argument("--not-centred", action="store_true", help="keep the mean token vector")
    parser.add_argument("--every", type=float, default=600, help="seconds between checkpoints")
    parser.add_argument("--data", help="data root (default: RUNOFF_DATA, else ../shared/data)")
    args = parser.parse_args()
    torch.manual_seed(0)
    args.out.mkdir(parents=True, exist_ok=True)
    args.cache.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    lesson = Lesson(data_root(args.data), args.cache, centred=not args.not_centred)
    training = Training(args.out, lesson.net, args.seconds, args.rate)
    if not training.step:
        torch.save(lesson.net.state_dict(), args.out / "start.pt")
    saved, losses = training.elapsed, []
    batches = numbered(lesson.topics, training.step * WORKERS)
    with ThreadPoolExecutor(WORKERS, initializer=torch.set_num_threads, initargs=(1,)) as workers:
        while training.elapsed < args.seconds and training.step != args.steps:
            work = [next(batches) for _ in range(WORKERS)]
            done = list(workers.map(lambda one: lesson.gradients(*one, training.learned), work))
            training.learn([gradients for gradients, _ in done])
            losses.append(np.mean([parts for _, parts in done], 0))
            if training.step % 25 == 0:
                late, pooled = np.mean(losses[-25:], 0).round(4).tolist()
                training.log(late=late, pooled=pooled, scale=round(lesson.net.scale.item(), 2))
            if training.elapsed - saved > args.every:
                training.save(f"step{training.step}")
                saved = training.elapsed
    training.save("last")
    training.log(event="end")


def numbered(topics: NDArray[np.int32], first: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Batches with their numbers, epoch after epoch without end, from a number on."""
    number = 0
    for epoch in itertools.count():
        for one in batches(topics, epoch):
            if number >= first:
                yield number, one
            number += 1


def rarity(texts: Sequence[Tensor], size: int) -> Tensor:
    """The inverse document frequency of each id of a vocabulary."""
    counts = torch.zeros(size)
    for ids in texts:
        counts[ids.unique()] += 1
    return torch.log1p((len(texts) - counts + 0.5) / (counts + 0.5))


if __name__ == "__main__":
    main()
