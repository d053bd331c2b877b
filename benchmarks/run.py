"""Run benchmarks: `python benchmarks/run.py [names...] [--json FILE]`; without names, most of them.

`bm25_large`, `dense_large` and `defaults` run only when they are named: they take many minutes, or
hours.
`--from FILE --markdown PAGE` runs nothing: it writes the page's tables from figures that were kept
with `--json`. Each of several pages has a `--markdown` of its own. `--from FILE --json KEPT` takes
the figures of one file over into another.

What is compared runs in turns within one process; the machine is printed beside absolute times.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path

from harness import (
    Options,
    Report,
    Skipped,
    load_average,
    machine,
)
from pages import kept_report, replaced, write_all, write_into

BENCHMARKS = (
    "import_time",
    "bm25_speed",
    "bm25_large",
    "dense_speed",
    "dense_large",
    "encoding",
    "overhead",
    "overrun",
    "grouping",
    "pairs",
    "backends",
    "peers",
    "concurrency",
    "callers",
    "slots",
    "adapters",
    "soak",
    "score_cache",
    "languages",
    "quality",
    "blend",
    "anytime",
    "cascade",
    "exits",
    "late",
    "passages",
    "server",
    "engines",
    "cluster",
    "scale",
    "replay",
    "verdict",
    "unjudged",
    "clicks",
    "ledger",
    "tuning",
    "coverage",
    "drift",
    "live",
    "live_ndcg",
    "interleaving",
    "watching",
    "glance",
    "defaults",
)
_ONLY_BY_NAME = ("bm25_large", "dense_large", "defaults")


def main(arguments: list[str]) -> int:
    """Run the benchmarks named; return 1 if one misses a requirement, 2 if none could run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(BENCHMARKS))
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write the figures to this file"
    )
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        action="append",
        default=[],
        help="also write the tables into this page",
    )
    parser.add_argument(
        "--from", type=Path, metavar="FILE", dest="kept", help="write the page from these figures"
    )
    parser.add_argument(
        "--picture", type=Path, metavar="FILE", help="also draw the peers of --from (needs Altair)"
    )
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="keep embeddings, scores and recordings here"
    )
    parser.add_argument("--stages", default="", help="second stages, separated by commas")
    parser.add_argument("--collections", default="", help="names, separated by commas")
    parser.add_argument("--queries", type=int, help="judged queries to use of each collection")
    parser.add_argument("--quick", action="store_true", help="run as little as shows that it works")
    given = parser.parse_args(arguments)
    if given.kept is not None:
        if not given.markdown and not given.json:
            parser.error("--from needs a page, --markdown FILE, or kept figures, --json FILE")
        return _rewrite(given.kept, given.markdown, given.picture, given.json)
    unknown = [name for name in given.names if name not in BENCHMARKS]
    if unknown:
        names = ", ".join(BENCHMARKS)
        parser.error(f"unknown: {', '.join(unknown)}; the benchmarks are {names}")
    options = Options(
        given.quick,
        tuple(filter(None, given.collections.split(","))),
        given.queries,
        tuple(filter(None, given.stages.split(","))),
    )
    if given.cache:
        os.environ["RUNOFF_BENCH_CACHE"] = str(given.cache)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    found: dict[str, object] = {}
    missed = ran = 0
    for name in given.names or [one for one in BENCHMARKS if one not in _ONLY_BY_NAME]:
        module = importlib.import_module(name)
        about = machine()
        started = time.perf_counter()
        print(f"## {name}\n\n{str(module.__doc__).strip()}\n", flush=True)
        try:
            report: Report = module.run(options)
        except Skipped as reason:
            print(f"Skipped: {reason}\n", flush=True)
            found[name] = {"skipped": str(reason)}
            continue
        ran += 1
        about["load average"] += f" before, {load_average()} after"
        about["command"] = f"python benchmarks/run.py {name} {_options(given)}".strip()
        about["seconds"] = f"{time.perf_counter() - started:.0f}"
        missed += _show(report, about)
        for page in given.markdown:
            write_into(page, name, report, about)
        found[name] = {"about": about} | asdict(report)
    if given.json:
        _keep(given.json, found)
    return 0 if ran and not missed else 1 if ran else 2


def _keep(path: Path, found: dict[str, object]) -> None:
    """Write figures to a file, instead of older ones of the same benchmarks."""
    kept = json.loads(path.read_text("utf-8")) if path.exists() else {}
    text = json.dumps(replaced(kept, found, BENCHMARKS), indent=2)
    path.write_text(f"{text}\n", encoding="utf-8")


def _rewrite(path: Path, pages: list[Path], picture: Path | None, into: Path | None) -> int:
    """Write all tables of kept figures into pages and the figures to a file; draw the peers."""
    kept = json.loads(path.read_text("utf-8"))
    if into is not None:
        _keep(into, kept)
    for page in pages:
        write_all(page, kept)
    if picture is not None:
        importlib.import_module("peers").draw(kept_report(kept["peers"]).tables[0], picture)
    return 0


def _options(given: argparse.Namespace) -> str:
    parts = [f"--collections {given.collections}"] if given.collections else []
    parts += [f"--queries {given.queries}"] if given.queries else []
    parts += [f"--stages {given.stages}"] if given.stages else []
    return " ".join([*parts, *(["--quick"] if given.quick else [])])


def _show(report: Report, about: dict[str, str]) -> int:
    """Print a report and return how many requirements it misses."""
    for table in report.tables:
        print("\n".join(table.lines()))
    for requirement in report.requirements:
        print(requirement.line())
    for note in report.notes:
        print(f"- {note}")
    print(
        "\n" + "\n".join(f"{name}: {value}  " for name, value in about.items()) + "\n", flush=True
    )
    return sum(not one.met for one in report.requirements)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
