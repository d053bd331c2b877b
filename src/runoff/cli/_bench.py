"""`runoff bench`: what the second stage costs on this machine, and which window fits a deadline."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from runoff._util.arguments import count
from runoff._util.arguments import seconds as check_seconds
from runoff._util.messages import number_of
from runoff.bench import _machine as machine
from runoff.cli._options import JsonOption  # noqa: TC001 - typer reads it
from runoff.cli._output import printer, say_table
from runoff.cli._system import attribute, call
from runoff.errors import InvalidArgument
from runoff.pipeline import TwoStage
from runoff.rerank._as_reranker import as_reranker

if TYPE_CHECKING:
    from runoff._onnx.files import Precision
    from runoff.bench._results import Callers, Length, Measured, Window
    from runoff.protocols import Reranker

_PACKAGES = ("runoff", "runoff-models", "onnxruntime", "tokenizers", "numpy", "torch")
_WORDS = (30, 60, 120, 240, 480)
_MOST_SENT = 2000  # pairs, to a reranker that a vendor may charge for


def bench(
    reranker: Annotated[
        str, typer.Option(help="A model's name or folder, or module:attribute.")
    ] = "runoff-mini",
    precision: Annotated[
        str, typer.Option(help="Precision of a local model: auto, int8 or fp32.")
    ] = "auto",
    path: Annotated[
        Path | None,
        typer.Option(
            help="Rerank this folder of Markdown, text, JSONL or BEIR files.",
            show_default="Python's language reference",
        ),
    ] = None,
    words: Annotated[
        list[int] | None,
        typer.Option(
            help="A document length to measure; repeatable.",
            show_default=", ".join(map(str, _WORDS)),
        ),
    ] = None,
    timeout: Annotated[float, typer.Option(help="Deadline of one search in seconds.")] = 0.25,
    seconds: Annotated[float, typer.Option(help="About how many seconds to measure.")] = 20.0,
    pairs: Annotated[
        int | None,
        typer.Option(
            help="Most pairs to score.",
            show_default=f"{_MOST_SENT} for module:attribute, otherwise no limit",
        ),
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Measure the second stage on this machine and find the window that fits a deadline.

    Candidates are random documents, so the times exclude the first stage.

    Exit codes: 0 success, 1 error, 2 wrong argument.
    """
    from runoff.bench import _material as material  # noqa: PLC0415 - --help needs none of this
    from runoff.bench._measure import measure  # noqa: PLC0415 - as above

    check_seconds("timeout", timeout)
    check_seconds("seconds", seconds)
    lengths = [count("words", one) for one in words or _WORDS]
    most = None if pairs is None else count("pairs", pairs)
    named = ":" in reranker and not Path(reranker).exists()
    second = _named(reranker, precision) if named else _local(reranker, precision)
    most = _MOST_SENT if most is None and named else most
    if named and most is not None:
        sys.stderr.write(
            f"at most {number_of(most, 'pair is', 'pairs are')} sent to {reranker} (limit: "
            "--pairs)\n"
        )
    searched = material.built_in() if path is None else material.of_folder(path)
    facts = _facts()
    logging.getLogger("runoff").setLevel(logging.ERROR)  # the summary counts degraded searches
    found = measure(
        second,
        searched,
        timeout=timeout,
        seconds=seconds,
        words=lengths,
        pairs=most,
        progress=partial(print, file=sys.stderr),
    )
    if json_output:
        record = {"reranker": reranker, "searched": searched.what, "machine": facts}
        print(json.dumps(record | asdict(found), indent=2))  # noqa: T201 - the output
    else:
        _print(found, reranker, searched.what, facts)


def _local(given: str, precision: str) -> Reranker:
    from runoff.rerank import CrossEncoder, Pointwise  # noqa: PLC0415 - as above

    return Pointwise(CrossEncoder(given, precision=cast("Precision", precision)))


def _named(given: str, precision: str) -> Reranker:
    """Return the reranker that `module:attribute` is, returns when called, or has as a pipeline."""
    if precision != "auto":
        raise InvalidArgument("precision", precision, "applies to local models only: leave it out")
    found = attribute("reranker", given)
    try:
        made = _of(found)
    except InvalidArgument:
        if not callable(found):
            raise
        made = _of(call("reranker", given, found))
    if made is None:
        raise InvalidArgument("reranker", given, "is None, so there is no second stage to measure")
    return made


def _of(found: object) -> Reranker | None:
    return as_reranker(found.reranker if isinstance(found, TwoStage) else found)


def _facts() -> dict[str, object]:
    load = machine.load_average()
    return {
        "processor": machine.processor(),
        "load_average": load,
        "busy": machine.is_busy(load),
        "python": sys.version.split()[0],
        "system": sys.platform,
        "packages": machine.versions(_PACKAGES),
    }


def _print(found: Measured, reranker: str, what: str, facts: dict[str, object]) -> None:
    out, say = printer()
    say(f"{reranker} over {what}", "bold")
    packages = cast("list[str]", facts["packages"])
    load = "unknown" if facts["load_average"] is None else f"{facts['load_average']:.1f}"
    say(f"{facts['processor']}, load average {load}")
    say(", ".join([f"Python {facts['python']}", *packages]))
    if facts["busy"]:
        say("This machine is busy with other work: all times below are too long.", "yellow")
    memory = ""
    if found.memory is not None:
        before, loaded, most = (size / 1e6 for size in found.memory)
        memory = f"; memory {before:.0f} MB before, {loaded:.0f} MB after, {most:.0f} MB at most"
    say(f"loaded in {found.load_s:.2f} s{memory}")
    out.print()
    say_table(out, _length_rows(found.lengths))
    out.print()
    tokens = ""
    if found.tokens is not None:
        tokens = (
            f"{number_of(round(found.tokens[0]), 'token')} a pair (p95 {found.tokens[1]:.0f}), "
        )
    say(f"These documents: {tokens}{found.truncated:.1%} truncated")
    say_table(out, _window_rows(found.windows))
    out.print()
    say(_fitting(found), "bold")
    if found.kept is not None:
        times, kept = found.kept.times, found.kept
        say(
            f"With timeout={found.timeout:g} and a window of {kept.window}, a search scores "
            f"{number_of(round(kept.scored), 'candidate')} and returns after {times.p50:.0f} ms "
            f"(p95 {times.p95:.0f}, n {times.count})"
        )
    if found.callers:
        out.print()
        say(f"Concurrent callers, window {found.callers[0].window}")
        say_table(out, _caller_rows(found.callers))
    out.print()
    for line in _remarks(found):
        say(line)


def _fitting(found: Measured) -> str:
    deadline = f"{found.timeout * 1000:g} ms"
    if found.fit is None:
        return f"No window that fits {deadline} was found in time: raise --seconds"
    times, window = found.fit.times, found.fit.window
    if not window:
        return f"Not even one candidate fits {deadline}: p95 {times.p95:.0f} ms"
    beyond = "; there are no more documents to try a wider one" if found.fit.widest else ""
    return (
        f"A window of {window} fits {deadline}: p95 {times.p95:.0f} ms over "
        f"{number_of(times.count, 'search', 'searches')}"
        f"{beyond}"
    )


def _length_rows(lengths: tuple[Length, ...]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("words", "tokens", "truncated", "one pair, p50 ms", "p95 ms", "n", "pairs/s")
    ]
    for one in lengths:
        tokens = "-" if one.tokens is None else f"{one.tokens:.0f}"
        times = (f"{one.one.p50:.1f}", f"{one.one.p95:.1f}", f"{one.one.count}")
        fast = "-" if one.pairs_per_second is None else f"{one.pairs_per_second:.1f}"
        rows.append((f"{one.words}", tokens, f"{one.truncated:.0%}", *times, fast))
    return rows


def _window_rows(windows: tuple[Window, ...]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("window", "search, p50 ms", "p95 ms", "n")]
    for one in windows:
        if one.times is None:
            rows.append((f"{one.window}", f"about {one.expected_ms:.0f}", "-", "0"))
        else:
            times = one.times
            rows.append((f"{one.window}", f"{times.p50:.0f}", f"{times.p95:.0f}", f"{times.count}"))
    return rows


def _caller_rows(callers: tuple[Callers, ...]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("callers", "pairs/s", "search, p50 ms", "p95 ms", "n")]
    for one in callers:
        times = (f"{one.times.p50:.0f}", f"{one.times.p95:.0f}", f"{one.times.count}")
        rows.append((f"{one.callers}", f"{one.pairs_per_second:.1f}", *times))
    return rows


def _remarks(found: Measured) -> list[str]:
    usage = found.usage
    used = [f"{number_of(usage.pairs, 'pair')} scored"]
    if usage.tokens is not None:
        used.append(f"{number_of(usage.tokens, 'token')} read")
    if usage.requests:
        used.append(f"{number_of(usage.requests, 'request')} sent")
    if usage.billed_units is not None:
        used.append(f"{usage.billed_units:g} units billed")
    if usage.cost is not None:
        used.append(f"cost {usage.cost:.4f}")
    lines = [", ".join(used)]
    if usage.cached:
        lines.append(
            f"{number_of(usage.cached, 'pair')} came from a cache, so the times above are too short"
        )
    for reason, number in found.degraded.items():
        lines.append(
            f"{number_of(number, 'search was', 'searches were')} degraded ({reason}) and "
            f"{'is' if number == 1 else 'are'} not counted above"
        )
    return lines
