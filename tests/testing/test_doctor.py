"""`doctor` names seeded faults, and raises no alarm on sound parts."""

import functools
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
from listwise import shown
from seeded import RERANKER_FAULTS, SOURCE_FAULTS, FaultyReranker, FaultySource
from servers import serving

from runoff.errors import InvalidArgument
from runoff.pipeline import TwoStage
from runoff.pipeline._systems import as_system
from runoff.recall import BM25, Chroma, Dense
from runoff.rerank import (
    CohereRerank,
    CrossEncoder,
    HTTPRerank,
    LateInteraction,
    ListwiseLLM,
    MemoryCache,
    Pointwise,
)
from runoff.rerank._remote.dialects import Dialect
from runoff.testing import doctor
from runoff.testing._doctor.questions import QUESTIONS
from runoff.types import Document

WORDS = ("oil", "gas", "coal", "wind")
DOCUMENTS = [
    Document(
        f"d{number}",
        f"{WORDS[number % 4]} report {number} about {WORDS[number % 3]} and the "
        f"{WORDS[number % 2]} market of {1950 + number} in the year of its name",
        {"tenant": "abc"[number % 3], "year": 1990 + number % 7},
    )
    for number in range(80)
]
ABOUT = ["the oil market of the year", "the gas report", "wind and coal", "the report about coal"]


def grams(text):
    """Return the three-letter pieces of a text's words."""
    words = [f"  {word} " for word in text.lower().split()]
    return {word[at : at + 3] for word in words for at in range(len(word) - 2)}


def overlap(query, text):
    """Return how much of a question a text has, in no round numbers."""
    asked, there = grams(query), grams(text)
    return len(asked & there) / (len(asked) + 1) + len(text) % 97 / 1e5


def embedded(texts):
    """Return counts of letter pieces, hashed."""
    made = np.zeros((len(texts), 64), np.float32)
    for row, text in enumerate(texts):
        for piece in grams(text):
            made[row, zlib.crc32(piece.encode()) % 64] += 1
    return made


def reply(query, texts, more=0.0):
    """Return a server's reply, in no order."""
    rows = [
        {"index": n, "relevance_score": overlap(query, text) + more} for n, text in enumerate(texts)
    ]
    return {"results": rows[::-1]}


@pytest.fixture(scope="module")
def server():
    def answer(asked):
        return 200, reply(asked.body["query"], asked.body["documents"])

    with serving(answer) as made:
        yield made


class Client:
    """A stand-in for Cohere's client."""

    def rerank(self, *, model, query, documents):
        rows = [
            SimpleNamespace(index=n, relevance_score=overlap(query, text))
            for n, text in enumerate(documents)
        ]
        units = SimpleNamespace(search_units=1.0)
        return SimpleNamespace(results=rows, meta=SimpleNamespace(billed_units=units))


RERANKERS = ["runoff-mini", "late", "http", "cohere"]
SIX = dict(list(QUESTIONS.items())[:6])
CACHE = MemoryCache()  # of runoff-mini, which reads the same texts for every fault
DIALECT = Dialect("overlap", path="/rerank", instruction="instruction")


@pytest.fixture
def sound(request, server):
    """A sound second stage of each kind."""
    return {
        "runoff-mini": lambda: Pointwise(CrossEncoder("runoff-mini"), cache=CACHE),
        "late": lambda: Pointwise(LateInteraction()),
        "http": lambda: HTTPRerank(server.url, dialect=DIALECT),
        "cohere": lambda: CohereRerank(client=Client()),
    }[request.param]()


def named(found):
    return {one.check for one in found.odd}


@pytest.mark.parametrize("sound", RERANKERS, indirect=True)
def test_a_sound_second_stage_raises_no_alarm(sound):
    """Nothing is odd about a local, a late, a served and Cohere's reranker."""
    assert not doctor(sound).odd


@pytest.mark.parametrize("fault", RERANKER_FAULTS)
@pytest.mark.parametrize("sound", RERANKERS, indirect=True)
def test_a_fault_of_a_second_stage_is_named(sound, fault):
    """The check that must find a fault is odd, with a sentence and something to do."""
    found = doctor(FaultyReranker(sound, fault), questions=SIX)
    assert RERANKER_FAULTS[fault] in named(found), found
    assert found[RERANKER_FAULTS[fault]].advice


def test_an_order_without_scores_raises_no_alarm():
    """1 / rank depends on the other texts, and says nothing about how scores are made."""

    def llm(prompt):
        question = prompt.partition("<question>")[2].partition("</question>")[0]
        texts = shown(prompt)
        best = sorted(texts, key=lambda at: -overlap(question, texts[at]))
        return " > ".join(f"[{at}]" for at in best)

    found = doctor(ListwiseLLM(llm))
    assert not found.odd
    assert found["place"].odd is found["neighbours"].odd is None


@pytest.mark.parametrize(("used", "named_odd"), [(True, False), (False, True)])
def test_an_instruction_that_is_ignored_is_named(used, named_odd):
    """Without its instruction the same server must score otherwise."""

    def answer(asked):
        more = asked.body.get("instruction", "") if used else ""
        return 200, reply(asked.body["query"], asked.body["documents"], len(more) / 1000)

    with serving(answer) as made:
        part = HTTPRerank(made.url, dialect=DIALECT, instruction="find recipes")
        assert doctor(part, questions=SIX)["instruction"].odd is named_odd


def test_a_model_that_was_never_trained_is_named(tmp_path):
    """A cross-encoder with random weights orders answers as chance does."""
    found = doctor(CrossEncoder(tiny.save(tmp_path)))
    assert found["orientation"].odd
    assert "chance" in found["orientation"].sentence


def test_swapped_classes_and_distances_are_told_apart(server):
    """Both reverse the order; what to do differs."""
    part = HTTPRerank(server.url, dialect=DIALECT)
    swapped = doctor(FaultyReranker(part, "yes and no swapped"), questions=SIX)["orientation"]
    distances = doctor(FaultyReranker(part, "distances"), questions=SIX)["orientation"]
    assert "yes and no" in swapped.advice
    assert "negating" in distances.advice


def test_an_error_is_a_finding():
    """A part that raises is not an error of the doctor's."""

    class Broken:
        def rerank(self, query, candidates, *, deadline=None):
            raise ValueError("no such model")

    found = doctor(Broken())
    assert named(found) == {"error"}
    assert "no such model" in found["error"].sentence


@functools.cache
def source_of(name):
    """Return a sound source of each of four kinds, over the same documents."""
    if name == "bm25":
        return BM25(DOCUMENTS)
    if name == "dense":
        return Dense(DOCUMENTS, embedded)
    ids = [f"00000000-0000-0000-0000-{number:012}" for number in range(len(DOCUMENTS))]
    if name == "langchain":
        core = pytest.importorskip("langchain_core.vectorstores")
        from langchain_core.documents import Document as LangChainDocument

        store = core.InMemoryVectorStore(_embeddings())
        store.add_documents([
            LangChainDocument(id=doc_id, page_content=one.text, metadata=dict(one.metadata))
            for doc_id, one in zip(ids, DOCUMENTS, strict=True)
        ])  # fmt: skip
        return next(iter(as_system(store.as_retriever()).pipeline.sources.values()))
    chromadb = pytest.importorskip("chromadb")
    client = chromadb.EphemeralClient(chromadb.config.Settings(anonymized_telemetry=False))
    collection = client.get_or_create_collection("doctor", embedding_function=None)
    collection.upsert(
        ids,
        embeddings=embedded([one.text for one in DOCUMENTS]),
        documents=[one.text for one in DOCUMENTS],
        metadatas=[one.metadata for one in DOCUMENTS],
    )
    return Chroma(collection, embed=embedded)


def _embeddings():
    from langchain_core.embeddings import Embeddings

    class Vectors(Embeddings):
        def embed_documents(self, texts):
            return embedded(texts).tolist()

        def embed_query(self, text):
            return embedded([text])[0].tolist()

    return Vectors()


STORES = ["bm25", "dense", "langchain", "chroma"]


@pytest.mark.parametrize("name", STORES)
def test_a_sound_source_raises_no_alarm(name):
    """Nothing is odd about an index of words, of vectors, and two stores."""
    found = doctor(source_of(name), questions=ABOUT)
    assert not found.odd, found


@pytest.mark.parametrize("fault", SOURCE_FAULTS)
@pytest.mark.parametrize("name", STORES)
def test_a_fault_of_a_source_is_named(name, fault):
    """The check that must find a fault is odd, with a sentence and something to do."""
    found = doctor(FaultySource(source_of(name), fault), questions=ABOUT)
    assert SOURCE_FAULTS[fault] in named(found), found
    assert found[SOURCE_FAULTS[fault]].advice


def test_a_source_that_finds_nothing_is_named():
    """Questions in no word of the documents prove nothing, and the finding says what to pass."""
    found = doctor(BM25(DOCUMENTS), questions=["zebra"])
    assert named(found) == {"found"}
    assert "questions=" in found["found"].advice


def test_a_pipeline_is_checked_part_by_part(server):
    """Each source and the second stage have findings of their own, under their names."""
    pipeline = TwoStage(
        {"bm25": source_of("bm25"), "bad": FaultySource(source_of("dense"), "distances")},
        reranker=FaultyReranker(HTTPRerank(server.url, dialect=DIALECT), "top 3"),
    )
    found = doctor(pipeline, questions={one: f"{one}: {n}" for n, one in enumerate(ABOUT)})
    assert named(found) >= {"bad: scores", "second stage: kept"}
    assert not any(one.startswith("bm25") for one in named(found))


@pytest.mark.parametrize("part", [3, object(), BM25, None])
def test_other_parts_are_refused(part):
    """The error lists what can be checked."""
    with pytest.raises(InvalidArgument, match="a vector store, an index"):
        doctor(part)


@pytest.mark.parametrize("questions", [[], "why?", [3], {"why?": "so"}])
def test_other_questions_are_refused(questions):
    """A second stage needs four questions and their answers, and a string is no list."""
    with pytest.raises(InvalidArgument, match="questions="):
        doctor("runoff-mini", questions=questions)
