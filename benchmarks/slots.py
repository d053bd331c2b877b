"""What tokens, the queue and Python add to the runs of a session, in processor time.

The same pairs are scored four ways in turn: by the session alone, their tokens ready; through one
slot and through one for each core; and by `CrossEncoder.score`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from harness import Report, Requirement, Skipped, Table, percentile

from runoff._onnx import cpu
from runoff._onnx.slots import Slots
from runoff._util.prose import stretches
from runoff.errors import MissingExtra
from runoff.rerank import CrossEncoder
from runoff.rerank._local import onnx

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness import Options
    from numpy.typing import NDArray

    from runoff._onnx.slots import Interrupt
    from runoff.rerank._local.backends import Scored

__all__ = ["run"]

_DOCUMENTS, _WORDS, _ROUNDS = 10, 140, 9
_QUERY = "how do engineers measure retrieval"
_MOST = 1.1


def run(options: Options) -> Report:
    """Measure the four ways in turn."""
    scorer = CrossEncoder("runoff-mini")
    try:
        ready = onnx.prepare(scorer)
    except MissingExtra as missing:
        raise Skipped(str(missing)) from None
    pairs = [(_QUERY, text) for text in stretches([_WORDS] * _DOCUMENTS, seed=0)]
    loaded, encoder = ready.loaded, ready.encoder
    asked = encoder.query(_QUERY)
    inputs = [encoder.pair(asked, text) for _, text in pairs]

    def one(at: int, interrupt: Interrupt) -> list[Scored]:
        return ready.run([pairs[at]], {}, interrupt)

    def alone() -> list[NDArray]:  # type: ignore[type-arg] # of floats
        return [loaded.run(encoded, loaded.outputs[0]) for encoded in inputs]

    cores = cpu.cores()
    single, all_cores = Slots(1), Slots(cores)
    calls: dict[str, Callable[[], object]] = {
        "the session alone, one thread": alone,
        "one slot": lambda: single.run(len(pairs), one),
        f"{cores} slots": lambda: all_cores.run(len(pairs), one),
        "CrossEncoder.score": lambda: scorer.score(pairs),
    }
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(2 if options.quick else _ROUNDS):
        for name, call in calls.items():
            before = time.process_time()
            call()
            taken[name].append((time.process_time() - before) * 1000 / len(pairs))
    least = min(taken["the session alone, one thread"])
    rows = [
        (name, min(found), percentile(found, 50), min(found) / least)
        for name, found in taken.items()
    ]
    return Report(
        [
            Table(
                "CPU ms of a pair",
                ("scored by", "least", "median", "least, of the session's"),
                rows,
                f"{len(pairs)} pairs of {sum(map(len, inputs)) / len(pairs):.0f} tokens, "
                f"runoff-mini, {len(taken['one slot'])} rounds in turn.",
            )
        ],
        [Requirement("CPU of CrossEncoder.score, of its session's runs", rows[-1][-1], _MOST)],
    )
