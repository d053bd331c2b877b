"""Bring a checkpoint's logits to a scale on which 0 means evens, without changing any order.

A softmax over five documents leaves the level of a logit undefined. Two numbers are fitted on the
held-out pairs by logistic regression (Platt 1999), answers and mined negatives weighing the same,
and folded into the weights: the network computes ``slope * logit + offset`` from then on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pairs
import torch
from common import Mini, data_root, load_tokenizer
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from train_mini import logits


def fitted(right: Tensor, wrong: Tensor) -> tuple[float, float]:
    """The slope and offset of the logistic regression, both classes of equal weight."""
    parameters = torch.tensor([0.1, 0.0], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([parameters], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = torch.stack(
            [
                binary_cross_entropy_with_logits(
                    parameters[0] * values.double() + parameters[1],
                    torch.full_like(values, answer, dtype=torch.float64),
                )
                for values, answer in ((right, 1.0), (wrong, 0.0))
            ]
        ).sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    slope, offset = parameters.tolist()
    return slope, offset


def main() -> None:
    """Fit, fold, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="checkpoint of train_mini.py")
    parser.add_argument("target", type=Path, help="where the calibrated checkpoint goes")
    parser.add_argument("--data", help="data root (default: RUNOFF_DATA, else ../shared/data)")
    parser.add_argument("--tokens", type=int, default=112)
    args = parser.parse_args()
    net, tokenizer = Mini(), load_tokenizer()
    net.load_state_dict(torch.load(args.source, weights_only=True))
    net.eval()
    _, held, _ = pairs.load(data_root(args.data))
    right, wrong = [], []
    with torch.no_grad():
        for example in held:
            documents = [example.positive, *example.negatives[:8]]
            scores = logits(
                net, tokenizer, [example.query] * len(documents), documents, args.tokens
            )
            right.append(scores[:1])
            wrong.append(scores[1:])
        slope, offset = fitted(torch.cat(right), torch.cat(wrong))
        net.scale.mul_(slope)
        net.head.weight.mul_(slope)
        net.head.bias.mul_(slope).add_(offset)
    torch.save(net.state_dict(), args.target)
    print(f"slope {slope:.4f}, offset {offset:.4f}")


if __name__ == "__main__":
    main()
