"""Every fault x every reranker of the core, sync and async: no answer lost, none late, none silent.

Every run sees a few rerankers under a few faults; the slow part sees all of them, and makes the
table of docs/faults.md: `RUNOFF_WRITE_DOCS=1` writes it there.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from chaos_process import serving
from rerankers import Letters

httpx = pytest.importorskip("httpx", reason="the http extra is not installed")
from runoff import Document, TwoStage  # noqa: E402 - see above
from runoff.errors import RunoffError  # noqa: E402 - see above
from runoff.recall import Function  # noqa: E402 - see above
from runoff.rerank import Cascade, Fallback, HTTPRerank, Pointwise, Step  # noqa: E402 - see above
from runoff.testing.chaos import FAULTS  # noqa: E402 - see above

slow = pytest.mark.slow("70 s: every fault of a server x every reranker, called and awaited")
PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
BUDGET = 0.25
TRIES = 8
LATE = 0.05  # seconds that a busy machine may add to those of a sleeping control
QUERY = "how does a cascade of rankers work"
WORDS = ["cascade", "ranker", "query", "document", "model", "score", "order", "index"]
DOCUMENTS = [
    Document(f"d{at:02}", f"text {at} about {WORDS[at % 8]} and {WORDS[(3 * at) % 8]} and more")
    for at in range(20)
]
WORDS_IN_COMMON = Letters(name="words")  # a local scorer that cannot fail
NUMBERS = itertools.count()
CLIENT = httpx.Client()
DIALECTS = ("tei", "vllm", "jina", "infinity", "cohere", "nvidia")


def http(server, dialect):
    return HTTPRerank(server.url, dialect=dialect, model="m", api_key="key", circuit=None, batch=8)


def cohere(server):
    pytest.importorskip("cohere", reason="the cohere extra is not installed")
    from runoff.rerank import CohereRerank

    return CohereRerank(base_url=server.url, api_key="key", circuit=None, batch=8)


def handed(server):
    """Cohere's own synchronous client, as people hand it over."""
    sdk = pytest.importorskip("cohere", reason="the cohere extra is not installed")
    from runoff.rerank import CohereRerank

    client = sdk.ClientV2(api_key="key", base_url=server.url, httpx_client=CLIENT)
    return CohereRerank(client=client, circuit=None, batch=8)


RERANKERS = {
    **{f"HTTPRerank, {one}": (one, lambda s, one=one: http(s, one)) for one in DIALECTS},
    "CohereRerank": ("cohere", cohere),
    "cached": ("tei", lambda s: Pointwise(http(s, "tei"), cache=True)),
    "second of a cascade": (
        "tei",
        lambda s: Cascade([Step(WORDS_IN_COMMON, keep=12), http(s, "tei")]),
    ),
    "first of a fallback": ("tei", lambda s: Fallback([http(s, "tei"), WORDS_IN_COMMON])),
    "CohereRerank, client given": ("cohere", handed),
}
# the part that every run of the tests sees; what is left out is like one of these
SOME_RERANKERS = ("HTTPRerank, tei", "CohereRerank", "first of a fallback")
SOME_FAULTS = ("hang", "reset", "503", "401", "nan", "html")
# a synchronous client that is handed over reads replies of any size to their end
BEYOND = {
    ("CohereRerank, client given", one) for one in ("oversized", "oversized_chunked", "gzip_bomb")
}


@dataclass
class Cell:
    """The result of one search under one fault."""

    reranker: str
    fault: str
    asynchronous: bool
    error: RunoffError | None
    results: list[str]
    reason: str
    notes: tuple[str, ...]
    took: float


@pytest.fixture(scope="module")
def control():
    """How late a sleep of the whole budget is here, in seconds."""
    late = []
    for _ in range(40):
        began = time.perf_counter()
        time.sleep(BUDGET)
        late.append(time.perf_counter() - began - BUDGET)
    return float(np.percentile(late, 99))


@pytest.fixture(scope="module", autouse=True)
def closed():
    """Close the client that is handed over, after the last search."""
    yield
    CLIENT.close()


@pytest.fixture(scope="module", params=["some", pytest.param("all", marks=slow)])
def cells(request):
    """A few of them, or all, searched one after another."""
    if request.param == "all":
        return request.getfixturevalue("every_cell")
    return searched({name: RERANKERS[name] for name in SOME_RERANKERS}, SOME_FAULTS)


@pytest.fixture(scope="module")
def every_cell():
    """Every reranker under every fault."""
    return searched(RERANKERS, FAULTS)


def searched(rerankers, faults):
    found = []
    with ExitStack() as stack:
        dialects = {dialect for dialect, _ in rerankers.values()}
        servers = {one: stack.enter_context(serving(one)) for one in dialects}
        for name, (dialect, make) in rerankers.items():
            server = servers[dialect]
            server.fault(None)
            pipeline = TwoStage(
                {"all": Function(lambda query, depth: [(one, 1.0) for one in DOCUMENTS])},
                reranker=make(server),
            )
            pipeline.search(QUERY)  # imports and connects
            if "gzip_bomb" in faults:
                server.fault("gzip_bomb")  # takes a while to make
                pipeline.search(QUERY, timeout=10)
            for fault in faults:
                if (name, fault) in BEYOND:
                    continue
                server.fault(fault)
                for asynchronous in (False, True):
                    tried = [asked(pipeline, name, fault, asynchronous)]
                    while hurried(tried[-1]) and len(tried) < TRIES:
                        tried.append(asked(pipeline, name, fault, asynchronous))
                    found.append(tried[-1])
    return found


def hurried(cell):
    """Whether time ran out though the server answers at once: a busy machine, so ask again."""
    late = cell.reason == "timeout" or "DeadlineExceeded" in " ".join(cell.notes)
    return late and FAULTS[cell.fault].reason != "timeout"


def asked(pipeline, name, fault, asynchronous):
    error, response = None, None
    query = f"{QUERY} {next(NUMBERS)}"  # which no cache knows
    began = time.perf_counter()
    try:
        if asynchronous:
            response = asyncio.run(pipeline.asearch(query, top_k=20, timeout=BUDGET))
        else:
            response = pipeline.search(query, top_k=20, timeout=BUDGET)
    except RunoffError as raised:
        error = raised
    took = time.perf_counter() - began
    degraded = response.outcome.degraded if response else ()
    return Cell(
        name,
        fault,
        asynchronous,
        error,
        [one.doc_id for one in response] if response else [],
        degraded[0].reason if degraded else "",
        response.outcome.notes if response else (),
        took,
    )


def told(cell):
    return f"{cell.reranker}, {cell.fault}, {'async' if cell.asynchronous else 'sync'}"


def test_no_answer_is_lost(cells):
    """Where nothing is raised, every document comes back once."""
    everything = sorted(one.doc_id for one in DOCUMENTS)
    lost = [told(one) for one in cells if not one.error and sorted(one.results) != everything]
    assert lost == []


def test_only_what_cannot_pass_is_raised(cells):
    """Permanent faults raise their error, and no other fault raises anything."""
    wrong = [
        f"{told(one)}: {one.error!r}"
        for one in cells
        if (FAULTS[one.fault].permanent and not isinstance(one.error, FAULTS[one.fault].error))
        or (not FAULTS[one.fault].permanent and one.error)
    ]
    assert wrong == []


def test_permanent_errors_tell_the_remedy(cells):
    """A raised message names an argument to look at."""
    mute = [told(one) for one in cells if one.error and "=" not in str(one.error)]
    assert mute == []


def test_every_degraded_answer_says_why(cells):
    """The outcome's reason is the fault's own; where there is no fault the answer is complete."""
    wrong = [
        f"{told(one)}: {one.reason!r}"
        for one in cells
        if one.reranker != "first of a fallback"
        and not FAULTS[one.fault].permanent
        and one.reason != FAULTS[one.fault].reason
    ]
    assert wrong == []


def test_a_fallback_answers_in_place_of_the_failed(cells):
    """Behind a fallback the answer is complete, and a note says who gave it."""
    wrong = [
        f"{told(one)}: {one.reason!r} {one.notes}"
        for one in cells
        if one.reranker == "first of a fallback"
        and FAULTS[one.fault].reason
        and (one.reason or "words answered in place" not in " ".join(one.notes))
    ]
    assert wrong == []


@slow
def test_the_deadline_is_kept(every_cell, control):
    """Pooled over all cells, p99 of the overrun is at most 50 ms above a sleeping control."""
    over = [max(0.0, one.took - BUDGET) for one in every_cell]
    assert np.percentile(over, 99) <= control + LATE


@slow
def test_the_table_in_the_docs(every_cell):
    """docs/faults.md says what happened here."""
    table = made(every_cell)
    page = PAGE.read_text(encoding="utf-8")
    head, _, rest = page.partition("<!-- table -->\n")
    _, _, tail = rest.partition("<!-- end -->")
    if os.environ.get("RUNOFF_WRITE_DOCS"):
        PAGE.write_text(f"{head}<!-- table -->\n{table}<!-- end -->{tail}", encoding="utf-8")
    else:
        assert table in page


def made(cells):
    """Return the table: one row for each fault, over all rerankers but the fallback."""
    outcomes = defaultdict(set)
    for one in cells:
        if one.reranker != "first of a fallback":
            outcomes[one.fault].add(type(one.error).__name__ if one.error else one.reason)
    rows = []
    for fault, found in outcomes.items():
        (outcome,) = found if len(found) == 1 else (" / ".join(sorted(found)),)
        if FAULTS[fault].permanent:
            what = f"raises `{outcome}`"
        else:
            what = f"degraded: `{outcome}`" if outcome else "complete"
        rows.append(f"| {fault.replace('_', ' ')} | {what} |\n")
    return "| The server | The answer |\n|---|---|\n" + "".join(rows)
