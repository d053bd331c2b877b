"""Train runoff-mini on a CPU: one positive against BM25-mined negatives, from the bi-encoder on.

The target is half the label and half the bi-encoder's own softmax over the same documents
(`--teacher`): narrow training data would otherwise wear away what the bi-encoder learnt from a
billion pairs, and mined negatives are not all wrong. The rate falls with whichever is further on,
the steps or the seconds, so that a slow machine ends its schedule too.

Writes `last.pt` (at every report), `best.pt` (the best held-out score so far) and `log.jsonl` into
--out. An interrupted run leaves both checkpoints usable.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pairs
import torch
from common import BiEncoder, Mini, data_root, load_tokenizer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transformers import PreTrainedTokenizerBase

TEACHER_SCALE = 20.0  # the temperature that all-MiniLM-L6-v2 was trained with


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="data root (default: RUNOFF_DATA, else ../shared/data)")
    parser.add_argument(
        "--out", type=Path, default=Path("out"), help="folder for checkpoints and the log"
    )
    parser.add_argument("--init", type=Path, help="checkpoint to go on from, for a second stage")
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument(
        "--max-seconds", type=float, default=float("inf"), help="stop here at the latest"
    )
    parser.add_argument("--batch", type=int, default=8, help="queries a step, all of one file")
    parser.add_argument("--negatives", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=112)
    parser.add_argument("--lr", type=float, default=4e-5)
    parser.add_argument("--gate-lr", type=float, default=1e-2)
    parser.add_argument("--head-lr", type=float, default=2e-4)
    parser.add_argument(
        "--teacher", type=float, default=0.5, help="the bi-encoder's share of the target, 0 to 1"
    )
    parser.add_argument("--warmup", type=int, default=60)
    parser.add_argument(
        "--report", type=int, default=200, help="steps between held-out measurements"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def batches(examples: list[pairs.Example], size: int, seed: int) -> Iterator[list[pairs.Example]]:
    """Endless batches, each of one file (similar lengths, little padding), all rows equal."""
    rng = random.Random(seed)
    by_source: dict[str, list[pairs.Example]] = {}
    for example in examples:
        by_source.setdefault(example.source, []).append(example)
    while True:
        chunks = []
        for rows in by_source.values():
            rng.shuffle(rows)
            chunks += [rows[i : i + size] for i in range(0, len(rows) - size + 1, size)]
        rng.shuffle(chunks)
        yield from chunks


def grouped(
    batch: list[pairs.Example], pool: list[str], negatives: int, rng: random.Random
) -> tuple[list[str], list[str]]:
    """Queries and documents of a batch: for each example its positive, then its negatives."""
    queries: list[str] = []
    documents: list[str] = []
    for example in batch:
        chosen = rng.sample(example.negatives, min(negatives, len(example.negatives)))
        while len(chosen) < negatives:
            chosen.append(rng.choice(pool))
        queries += [example.query] * (negatives + 1)
        documents += [example.positive, *chosen]
    return queries, documents


def logits(
    net: Mini,
    tokenizer: PreTrainedTokenizerBase,
    queries: list[str],
    documents: list[str],
    tokens: int,
) -> Tensor:
    """The logits (n,) of the pairs under bfloat16 autocast."""
    encoded = tokenizer(
        queries,
        documents,
        truncation="only_second",
        max_length=tokens,
        padding=True,
        return_tensors="pt",
        return_token_type_ids=True,
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return net(**encoded).squeeze(-1).float()


@torch.no_grad()
def teacher_targets(
    teacher: BiEncoder,
    tokenizer: PreTrainedTokenizerBase,
    queries: list[str],
    documents: list[str],
    group: int,
    tokens: int,
) -> Tensor:
    """The bi-encoder's softmax over each group of documents: (groups, group)."""

    def embed(texts: list[str]) -> Tensor:
        encoded = tokenizer(
            texts,
            truncation=True,
            max_length=tokens,
            padding=True,
            return_tensors="pt",
            return_token_type_ids=True,
        )
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return teacher(**encoded).float()

    cosines = (embed(queries[::group])[:, None] * embed(documents).unflatten(0, (-1, group))).sum(
        -1
    )
    return (TEACHER_SCALE * cosines).softmax(-1)


@torch.no_grad()
def held_out(
    net: Mini, tokenizer: PreTrainedTokenizerBase, examples: list[pairs.Example], tokens: int
) -> dict[str, float]:
    """The reciprocal rank of the positive among mined negatives, by file, and the mean loss."""
    net.eval()
    reciprocal: dict[str, list[float]] = {}
    losses = []
    for example in examples:
        documents = [example.positive, *example.negatives[:8]]
        scores = logits(net, tokenizer, [example.query] * len(documents), documents, tokens)
        rank = 1 + int((scores[1:] >= scores[0]).sum())
        reciprocal.setdefault(example.source, []).append(1.0 / rank)
        losses.append(float(cross_entropy(scores[None], torch.zeros(1, dtype=torch.long))))
    net.train()
    result = {name: sum(values) / len(values) for name, values in reciprocal.items()}
    return result | {"mean": sum(result.values()) / len(result), "loss": sum(losses) / len(losses)}


def main() -> None:
    """Train, report, keep the best."""
    args = arguments()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    rng = random.Random(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    log = (args.out / "log.jsonl").open("w", encoding="utf-8")

    def note(**entry: object) -> None:
        for stream in (log, sys.stdout):
            print(json.dumps(entry), file=stream, flush=True)

    train, held, counts = pairs.load(data_root(args.data), seed=args.seed)
    note(event="data", train=len(train), held_out=len(held), files=counts)
    pools: dict[str, list[str]] = {}
    for example in train:
        pools.setdefault(example.source, []).append(example.positive)
    tokenizer, net = load_tokenizer(), Mini()
    if args.init:
        net.load_state_dict(torch.load(args.init, weights_only=True))
    net.encoder.embeddings.requires_grad_(requires_grad=False)
    teacher = BiEncoder().eval()
    learnt = [p for p in net.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        [
            {
                "params": [p for p in net.encoder.parameters() if p.requires_grad],
                "peak": args.lr,
                "weight_decay": 0.01,
            },
            {"params": [net.gates], "peak": args.gate_lr, "weight_decay": 0.0},
            {
                "params": [net.scale, *net.head.parameters()],
                "peak": args.head_lr,
                "weight_decay": 0.0,
            },
        ]
    )
    note(
        event="start",
        arguments={k: str(v) for k, v in vars(args).items() if k != "data"},
        torch=torch.__version__,
    )
    started, best, running = time.perf_counter(), -1.0, None
    net.train()
    for step, batch in enumerate(batches(train, args.batch, args.seed)):
        seconds = time.perf_counter() - started
        if step % args.report == 0 or step == args.steps or seconds > args.max_seconds:
            ended = step == args.steps or seconds > args.max_seconds
            measured = held_out(net, tokenizer, held if ended else held[::3], args.tokens)
            if measured["mean"] > best and not ended:
                best = measured["mean"]
                torch.save(net.state_dict(), args.out / "best.pt")
            torch.save(net.state_dict(), args.out / "last.pt")
            note(
                event="report",
                step=step,
                seconds=round(seconds),
                loss=running,
                held_out=measured,
                best=best,
                gates=net.gates.mean(1).tolist(),
            )
            if ended:
                break
        progress = max(step / args.steps, seconds / args.max_seconds)
        for group in optimiser.param_groups:
            group["lr"] = (
                group["peak"] * min(1.0, (step + 1) / args.warmup) * max(0.02, 1.0 - progress)
            )
        queries, documents = grouped(batch, pools[batch[0].source], args.negatives, rng)
        scores = logits(net, tokenizer, queries, documents, args.tokens).view(len(batch), -1)
        target = args.teacher * teacher_targets(
            teacher, tokenizer, queries, documents, args.negatives + 1, args.tokens
        )
        target[:, 0] += 1.0 - args.teacher
        loss = cross_entropy(scores, target)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learnt, 1.0)
        optimiser.step()
        running = loss.item() if running is None else 0.98 * running + 0.02 * loss.item()
    note(event="end", seconds=round(time.perf_counter() - started))


if __name__ == "__main__":
    main()
