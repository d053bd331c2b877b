"""Late interaction with token vectors that nobody trained for it: quality, time and bytes.

The candidates are those of the collection's own first stage, or else the best of BM25. Processor
time is that of this process: other work on the machine does not count.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from harness import Report, Requirement, Skipped, Table, cache_root, say
from judged import Collection, bootstrap, embeddings, mean, measured

from runoff import Query
from runoff.recall import BM25, Embedder
from runoff.rerank import LateInteraction, TokenStore

if TYPE_CHECKING:
    from harness import Options
    from judged import Runs
    from numpy.typing import NDArray

__all__ = ["run"]

COLLECTIONS = ("msmarco-dl19-pool",)
_WINDOW = 100
_QUICK = 3
_TURNS = 15
_WORDS = 60  # of a made-up document, about 80 tokens
_BYTES = 8_000_000_000


def run(options: Options) -> Report:
    """Rerank with equal weights and with those of the collection, and time stored documents."""
    limit = _QUICK if options.quick else options.queries
    tables, notes = [], []
    for name in options.collections or COLLECTIONS:
        try:
            collection = Collection.load(name, limit)
        except Skipped as missing:
            notes.append(f"skipped {name}: {missing}")
            continue
        tables.append(_quality(collection))
    timed, requirements = _times(quick=options.quick)
    return Report([*tables, timed], requirements, notes)


def _z(values: NDArray[np.floating]) -> NDArray[np.float64]:
    wide = np.asarray(values, np.float64)
    return (wide - wide.mean()) / (wide.std() or 1.0)


def _quality(collection: Collection) -> Table:
    texts = {one.doc_id: one.text for one in collection.documents}
    given = collection.given or _found(collection)
    store = TokenStore(cache_root() / "late-tokens", max_bytes=_BYTES)
    equal = LateInteraction(store=store, weights="equal")
    tokens, begun = 0, time.process_time()
    for at, (query, found) in enumerate(given.items()):
        pairs = [(collection.queries[query], texts[one]) for one, _ in found]
        tokens += equal.score(pairs).usage.tokens or 0
        if at % 10 == 0:
            say(f"{collection.name}: {at} of {len(given)} queries")
    spent = time.process_time() - begun
    store.flush()
    scorers = {"equal": equal, "idf": replace(equal, weights="idf")}
    ids = list(dict.fromkeys(one for found in given.values() for one, _ in found))
    embedder = Embedder()
    rows = embeddings(f"{collection.name}-late", [texts[one] for one in ids], embedder)
    row = {one: at for at, one in enumerate(ids)}
    runs: dict[str, Runs] = {}
    for query, found in given.items():
        text, named = collection.queries[query], [one for one, _ in found]
        pairs = [(text, texts[one]) for one in named]
        pooled = rows[[row[one] for one in named]] @ embedder.embed_query(text)
        values = {"first stage": -np.arange(len(named)), "pooled cosine": pooled}
        for weights, scorer in scorers.items():
            late = scorer.score(pairs).values
            values[f"late interaction, {weights}"] = late
            values[f"late interaction, {weights} + pooled"] = _z(late) + _z(pooled)
        for system, scores in values.items():
            order = np.argsort(-scores, kind="stable")
            runs.setdefault(system, {})[query] = [named[at] for at in order.tolist()]
    found_values = {name: measured(one, collection, ("nDCG@10",)) for name, one in runs.items()}
    base = found_values["pooled cosine"]["nDCG@10"]
    lines = []
    for system, one in found_values.items():
        gain = bootstrap(one["nDCG@10"], base)
        lines.append((system, mean(one["nDCG@10"]), gain.mean, gain.low, gain.high))
    return Table(
        f"Reranking on {collection.name}",
        ("system", "nDCG@10", "minus pooled", "low", "high"),
        lines,
        f"{len(given)} queries, {len(ids)} documents; {store.nbytes / max(len(store), 1):,.0f} "
        f"bytes a document in the store; {tokens:,} tokens were encoded in this run, in "
        f"{spent:.0f} s of processor time.",
    )


def _found(collection: Collection) -> dict[str, list[tuple[str, float]]]:
    index = BM25(collection.documents)
    return {
        query: [(hit.doc_id, hit.score) for hit in index.retrieve(Query(text), depth=_WINDOW)]
        for query, text in collection.queries.items()
    }


def _times(*, quick: bool) -> tuple[Table, list[Requirement]]:
    """Time calls whose documents and query are in the store and known."""
    random = np.random.default_rng(0)
    words = [f"w{number}" for number in range(400)]
    count = 60 if quick else 1000
    texts = [" ".join(random.choice(words, _WORDS // 2)) for _ in range(count)]
    scorer = LateInteraction(store=TokenStore())
    query = "what does a search engine do with words like w17?"
    begun = time.process_time()
    scorer.score([(query, text) for text in texts])
    cold = (time.process_time() - begun) * 1000 / count
    lines: list[tuple[object, ...]] = [("1, not in the store", cold, cold)]
    requirements = []
    for size, bound in ((50, 5.0), (1000, 60.0)):
        pairs = [(query, text) for text in texts[:size]]
        walls, cpus = [], []
        for _ in range(_TURNS):
            wall, cpu = time.perf_counter(), time.process_time()
            scorer.score(pairs)
            walls.append((time.perf_counter() - wall) * 1000)
            cpus.append((time.process_time() - cpu) * 1000)
        lines.append((f"{len(pairs)}, in the store", min(cpus), min(walls)))
        if len(pairs) == size:
            what = f"ms of processor time for {size} documents from the store"
            requirements.append(Requirement(what, min(cpus), bound))
    size = scorer.encoding.store.get(scorer.encoding.encoder.key, texts[:1])[0]
    tokens = 0 if size is None else len(size.scales)
    return (
        Table(
            "One call of LateInteraction",
            ("documents", "processor ms", "wall ms"),
            lines,
            f"Documents of about {tokens} tokens, 384 dimensions; the best of {_TURNS} calls.",
        ),
        requirements,
    )
