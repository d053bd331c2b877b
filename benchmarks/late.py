"""Late interaction, with the model that was trained for it and with one that was not.

Quality, time and bytes.
The candidates are those of the collection's own first stage, or else the best of BM25. Processor
time is that of this process: other work on the machine does not count.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
from harness import Report, Requirement, Skipped, Table, cache_root
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
TRAINED, UNTRAINED = "runoff-late", "all-MiniLM-L6-v2"
_WINDOW = 100
_QUICK = 3
_TURNS = 15
_WORDS = 60  # of a made-up document, about 80 tokens
_BYTES = 8_000_000_000


def run(options: Options) -> Report:
    """Rerank with both models, and time stored documents."""
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
    scorers = {
        TRAINED: LateInteraction(TRAINED, store=store),
        f"{UNTRAINED}, equal weights": LateInteraction(UNTRAINED, store=store, weights="equal"),
    }
    ids = list(dict.fromkeys(one for found in given.values() for one, _ in found))
    row = {one: at for at, one in enumerate(ids)}
    embedders = {
        name: Embedder(name, late=scorer)
        for name, scorer in zip((TRAINED, UNTRAINED), scorers.values(), strict=True)
    }
    begun = time.process_time()
    rows = {
        name: embeddings(f"{collection.name}-{name}-late", [texts[one] for one in ids], embedder)
        for name, embedder in embedders.items()
    }
    spent = time.process_time() - begun
    store.flush()
    idf = LateInteraction(UNTRAINED, store=store, weights="idf")  # of all candidates
    scorers[f"{UNTRAINED}, idf"] = idf
    runs: dict[str, Runs] = {}
    for query, found in given.items():
        text, named = collection.queries[query], [one for one, _ in found]
        pairs = [(text, texts[one]) for one in named]
        pooled = {
            name: rows[name][[row[one] for one in named]] @ embedder.embed_query(text)
            for name, embedder in embedders.items()
        }
        first = 1 / (60 + np.arange(1, len(named) + 1))
        values = {"first stage": first} | {f"pooled, {name}": it for name, it in pooled.items()}
        for name, scorer in scorers.items():
            late = scorer.score(pairs).values
            both = _z(late) + _z(pooled[UNTRAINED])
            values[f"late interaction, {name}"] = late
            values[f"late interaction, {name} + pooled"] = both
            values[f"late interaction, {name} + pooled + half first"] = both + 0.5 * _z(first)
        own = _z(values[f"late interaction, {TRAINED}"]) + _z(pooled[TRAINED])
        values[f"late interaction and pooled, both {TRAINED}"] = own
        for system, scores in values.items():
            order = np.argsort(-scores, kind="stable")
            runs.setdefault(system, {})[query] = [named[at] for at in order.tolist()]
    found_values = {name: measured(one, collection, ("nDCG@10",)) for name, one in runs.items()}
    base = found_values[f"pooled, {UNTRAINED}"]["nDCG@10"]
    lines = []
    for system, one in found_values.items():
        gain = bootstrap(one["nDCG@10"], base)
        lines.append((system, mean(one["nDCG@10"]), gain.mean, gain.low, gain.high))
    return Table(
        f"Reranking on {collection.name}",
        ("system", "nDCG@10", "minus pooled, untrained", "low", "high"),
        lines,
        f"{len(given)} queries, {len(ids)} documents; {store.nbytes / max(len(store), 1):,.0f} "
        f"bytes a document in the store, of both models; encoding took {spent:.0f} s of processor "
        "time in this run.",
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
            f"Documents of about {tokens} tokens, 128 dimensions; the best of {_TURNS} calls.",
        ),
        requirements,
    )
