"""BM25 on up to a million made-up texts: building, memory, and searches after changes.

Texts of 60 words follow Zipf's law over 300,000 words (`zipf.py`). Every size runs in a process of
its own, which makes the texts one by one, so that its memory is that of the index. bm25s and
tantivy index 100,000 of them in turns with runoff, from text, each with its own analyzer: bm25s
with PyStemmer and its English stop words, tantivy with its English stemmer, one writing thread, and
its index in memory. Seconds are of processor time; milliseconds are both.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import resource
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import Report, Requirement, Table
from zipf import queries, texts

from runoff import Query
from runoff.recall import BM25

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness import Options

__all__ = ["run"]

DEPTH = 100
_SIZES = ((10_000, "memory"), (100_000, "memory"), (1_000_000, "memory"), (1_000_000, "disk"))
_CHANGED = 1000
_QUERIES = 50
_MB = 1e6


def run(options: Options) -> Report:
    """Measure every size, and the peers at one."""
    sizes = ((2000, "memory"), (2000, "disk")) if options.quick else _SIZES
    found = {}
    for size, where in sizes:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found[size, where] = pool.apply(measure, (size, where))
    largest = found[sizes[-1]]
    in_memory, many = found[sizes[-2]], f"BM25 of {sizes[-2][0]:,} texts"
    return Report(
        [
            Table(
                "BM25 by size",
                (
                    "documents",
                    "texts",
                    "text, MB",
                    "build, CPU s",
                    "memory, MB",
                    "at its peak, MB",
                    "a search, ms",
                    "its CPU ms",
                ),
                [
                    (
                        f"{size:,}",
                        where,
                        one["text"],
                        one["build"],
                        one["memory"],
                        one["peak"],
                        *one["at rest"],
                    )
                    for (size, where), one in found.items()
                ],
                f"Medians of {_QUERIES} queries of four words, depth {DEPTH}; memory beyond that "
                "of the process before, after building and searching.",
            ),
            Table(
                f"The first search after a change, and the median of {_QUERIES} more, ms (CPU ms)",
                ("documents", "texts", "after", "the change", "first search", "more searches"),
                [
                    (
                        f"{size:,}",
                        where,
                        name,
                        *(f"{wall:.1f} ({cpu:.1f})" for wall, cpu in one[name]),
                    )
                    for (size, where), one in found.items()
                    for name in ("one added", "one deleted", f"{_CHANGED} added", "merged")
                ],
            ),
            *_peers(2000 if options.quick else 100_000),
        ],
        [
            Requirement(f"{many}, ms of a search", in_memory["at rest"][0]),
            Requirement(
                f"{many}, CPU ms of the first search after {_CHANGED} added",
                in_memory[f"{_CHANGED} added"][1][1],
                50.0,
            ),
            Requirement(
                "the same, memory in MB, of 1.5 times the texts and 1,000",
                in_memory["memory"],
                1.5 * in_memory["text"] + 1000,
            ),
            Requirement(
                "the same at its peak, texts on disk",
                largest["peak"],
                1.5 * largest["text"] + 1000,
            ),
        ],
    )


def measure(size: int, where: str) -> dict[str, Any]:
    """Build an index of this size in this process, search and change it."""
    asked = [Query(one) for one in queries(3 * _QUERIES)]
    before, text, making = _memory(), 0, 0.0

    def made() -> Iterator[tuple[str, str]]:
        nonlocal text, making
        started = time.process_time()
        for at, one in enumerate(texts(size)):
            text += len(one)
            making += time.process_time() - started
            yield f"d{at:08}", one
            started = time.process_time()

    found: dict[str, Any] = {}
    started = time.process_time()
    index = BM25(made(), texts=where)
    index.retrieve(asked[0], depth=DEPTH)
    found["build"] = time.process_time() - started - making
    gc.collect()

    def search(queries: list[Query]) -> tuple[float, float]:
        taken = [_times(lambda one=one: index.retrieve(one, depth=DEPTH)) for one in queries]
        return tuple(map(statistics.median, zip(*taken, strict=True)))  # type: ignore[return-value]

    found["at rest"] = search(asked[:_QUERIES])
    found |= {"memory": _memory() - before, "peak": _peak() - before, "text": text / _MB}
    new = [(f"e{at:08}", one) for at, one in enumerate(texts(_CHANGED + 1, seed=5))]
    for name, change in (
        ("one added", lambda: index.add(new[:1])),
        ("one deleted", lambda: index.delete([f"d{size // 2:08}"])),
        (f"{_CHANGED} added", lambda: index.add(new[1:])),
        ("merged", index.warmup),
    ):
        changed = _times(change)
        found[name] = (
            changed,
            _times(lambda: index.retrieve(asked[_QUERIES], depth=DEPTH)),
            search(asked[2 * _QUERIES :]),
        )
    return found


def _peers(size: int) -> list[Table]:
    """Return what bm25s and tantivy take, if they are installed."""
    held, asked = list(texts(size)), queries(_QUERIES)
    makers: dict[str, Callable[[], Callable[[str], object]]] = {"runoff": lambda: _runoff(held)}
    makers |= {"bm25s": lambda: _bm25s(held)}
    try:
        import tantivy  # noqa: F401, PLC0415 - need not be installed
    except ImportError:
        pass
    else:
        makers["tantivy"] = lambda: _tantivy(held)
    rounds = 1 if size < 100_000 else 2  # noqa: PLR2004 - quick
    building: dict[str, list[float]] = {name: [] for name in makers}
    searching: dict[str, list[float]] = {name: [] for name in makers}
    for _ in range(rounds):
        for name, make in makers.items():
            started = time.process_time()
            search = make()
            building[name].append(time.process_time() - started)
            search(asked[0])
            for _ in range(3):
                started = time.process_time()
                for one in asked:
                    search(one)
                searching[name].append((time.process_time() - started) / len(asked) * 1000)
            del search
            gc.collect()
    base = min(building["runoff"]), min(searching["runoff"])
    rows = [
        (
            name,
            min(building[name]),
            min(building[name]) / base[0],
            min(searching[name]),
            min(searching[name]) / base[1],
        )
        for name in makers
    ]
    columns = ("engine", "build, CPU s", "times runoff's", "a search, CPU ms", "times runoff's ")
    note = (
        f"{size:,} texts, {rounds} rounds in turns, the best of each; one query a call, depth "
        f"{DEPTH}, its tokens made too. runoff and tantivy return the texts, bm25s the rows."
    )
    return [Table("Beside bm25s and tantivy", columns, rows, note)]


def _runoff(held: list[str]) -> Callable[[str], object]:
    index = BM25((f"d{at:08}", one) for at, one in enumerate(held))
    index.warmup()
    return lambda text: index.retrieve(Query(text), depth=DEPTH)


def _bm25s(held: list[str]) -> Callable[[str], object]:
    import bm25s  # noqa: PLC0415 - heavy
    from Stemmer import Stemmer  # noqa: PLC0415 - as above

    stemmer = Stemmer("english")

    def tokens(given: list[str], *, ids: bool) -> Any:  # noqa: ANN401 - bm25s has no types
        return bm25s.tokenize(
            given, stopwords="en", stemmer=stemmer, show_progress=False, return_ids=ids
        )

    index = bm25s.BM25(k1=1.2, b=0.75)
    index.index(tokens(held, ids=True), show_progress=False)
    return lambda text: index.retrieve(
        tokens([text], ids=False), k=DEPTH, show_progress=False, n_threads=0
    )


def _tantivy(held: list[str]) -> Callable[[str], object]:
    import tantivy  # noqa: PLC0415 - need not be installed

    schema = (
        tantivy.SchemaBuilder()
        .add_text_field("id", stored=True, tokenizer_name="raw")
        .add_text_field("text", stored=True, tokenizer_name="en_stem")
        .build()
    )
    index = tantivy.Index(schema)
    writer = index.writer(heap_size=256_000_000, num_threads=1)
    for at, one in enumerate(held):
        writer.add_document(tantivy.Document(id=f"d{at:08}", text=one))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    searcher = index.searcher()

    def search(text: str) -> object:
        found = searcher.search(index.parse_query(text, ["text"]), DEPTH).hits
        return [(score, searcher.doc(place)["text"]) for score, place in found]

    return search


def _times(call: Callable[[], object]) -> tuple[float, float]:
    """Return the wall clock and the processor time of a call, ms."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return (time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000


def _memory() -> float:
    """Return what the process has in memory, MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _MB


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / _MB
