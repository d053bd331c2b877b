"""Bad input from end to end: each item gets a named error or the answer that is documented."""

import asyncio
import dataclasses
import json
import shutil
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

from runoff._util.provenance import encode
from runoff.errors import (
    DuplicateId,
    EmbeddingError,
    InvalidArgument,
    ModelDamaged,
    ModelNotFound,
    PermanentError,
)
from runoff.pipeline import TwoStage
from runoff.recall import BM25, Dense
from runoff.rerank import CrossEncoder
from runoff.types import Document, Query

TEXTS = {
    "tides": "The moon raises the sea twice a day.",
    "bread": "Knead the dough and bake the bread until its crust is brown.",
    "yeast": "Yeast lets the dough of a bread rise.",
    "stars": "Stars are born in clouds of dust.",
}
ASKED = "how do I bake bread?"


def embed(texts):
    """Count the words of each text in 32 places, with a first place that is never 0."""
    rows = np.zeros((len(texts), 32), np.float32)
    rows[:, 0] = 0.1
    for row, text in zip(rows, texts, strict=True):
        for word in text.encode("utf-8", "replace").lower().split():
            row[zlib.crc32(word) % 32] += 1
    return rows


def documents(texts=TEXTS):
    return [Document(doc_id, text) for doc_id, text in texts.items()]


def pipeline(texts=TEXTS, **options):
    given = documents(texts)
    sources = {"bm25": BM25(given), "dense": Dense(given, embed)}
    return TwoStage(sources, **({"reranker": None} | options))


def both(asked, *args, **kwargs):
    """Search synchronously and asynchronously; the two must agree on everything but time."""
    first = asked.search(*args, **kwargs)
    second = asyncio.run(asked.asearch(*args, **kwargs))
    assert first.results == second.results
    assert first.outcome.degraded == second.outcome.degraded
    assert first.outcome.notes == second.outcome.notes
    return first


def both_raise(error, asked, *args, **kwargs):
    """Search synchronously and asynchronously; both must raise alike."""
    with pytest.raises(error) as caught:
        asked.search(*args, **kwargs)
    with pytest.raises(error) as again:
        asyncio.run(asked.asearch(*args, **kwargs))
    assert str(caught.value) == str(again.value)
    return caught.value


def ids(response):
    return [result.doc_id for result in response]


@pytest.fixture(scope="module")
def mini():
    """The embedded reranker."""
    pytest.importorskip("runoff_models", reason="runoff-models is not installed")
    return CrossEncoder("runoff-mini")


@pytest.fixture
def model(tmp_path):
    """A directory that holds the files of the embedded reranker."""
    models = pytest.importorskip("runoff_models", reason="runoff-models is not installed")
    return Path(shutil.copytree(models.path("runoff-mini"), tmp_path / "model"))


def test_an_empty_corpus_answers_with_nothing(mini):
    """No documents: an empty and complete answer, in text and HTML too."""
    response = both(pipeline({}, reranker=mini), ASKED, timeout=20)
    assert ids(response) == []
    assert response.outcome.complete
    assert "0 of 0 candidates" in response.explain()
    assert "no source found it" in response.explain("bread")
    assert "<table>" in response._repr_html_()


@pytest.mark.parametrize("query", ["", " ", "\n\t\u3000", None, b"bread", 7, ["bread"]])
def test_a_query_that_asks_nothing_is_refused(query):
    """Empty, blank or no string: the error names the query, before any source is asked."""
    assert both_raise(InvalidArgument, pipeline(), query).argument == "query"


def test_a_query_without_words_finds_what_is_near(mini):
    """Punctuation has no words for BM25; the dense source still answers, and so does the search."""
    response = both(pipeline(reranker=mini), "?!")
    assert sorted(ids(response)) == sorted(TEXTS)
    assert response.outcome.complete
    assert {one.source for result in response for one in result.placements} == {"dense"}


def test_a_query_of_a_megabyte_is_answered(mini):
    """It is cut to the model's limit, said to be cut, and shown shortened."""
    query = "bread " * 180_000
    started = time.process_time()
    response = both(pipeline(reranker=mini), query)
    assert time.process_time() - started < 10
    assert set(ids(response)[:2]) == {"bread", "yeast"}
    assert response.outcome.complete
    assert any("the query is too long" in note for note in response.outcome.notes)
    assert response.query.text == query
    assert len(response.explain()) < 5_000


def test_a_document_of_ten_megabytes_is_answered(mini):
    """It is found and reranked by its beginning, marked as truncated, and shown shortened."""
    texts = TEXTS | {"long": "how to bake bread in an oven " * 350_000}
    asked = pipeline(texts, reranker=mini)
    started = time.process_time()
    response = both(asked, ASKED)
    assert time.process_time() - started < 10
    assert "long" in ids(response)
    assert response.outcome.complete
    assert response.trace.fate("long").truncated
    assert not response.trace.fate("bread").truncated
    assert len(response.explain()) + len(response._repr_html_()) < 20_000


ODD = {
    "\ud800": "bread \udfff and \ud83d crust",
    "nul\0": "bake\0bread",
    "\x1b[31m": "\x1b[2J bread",
}


@pytest.mark.parametrize("query", ["bread", "bread\0\ud800", "\udfff bread \x1b[31m"])
def test_nul_and_lone_surrogates_go_all_the_way(query, mini):
    """They separate words in ids, texts and queries, and whatever is shown can be written."""
    response = both(pipeline(ODD, reranker=mini), query, timeout=20)
    assert sorted(ids(response)) == sorted(ODD)
    assert response.outcome.complete
    told = [response.explain(), response._repr_html_(), *map(response.explain, ODD)]
    told += [encode(response, result) for result in response]
    for text in told:
        assert text.encode()
        assert "\x1b" not in text
        assert "\0" not in text


@pytest.mark.parametrize("make", [BM25, lambda given: Dense(given, embed)])
def test_one_id_with_two_texts_is_refused_while_indexing(make):
    """The error names the id."""
    given = [Document("bread", "one"), Document("bread", "two")]
    with pytest.raises(DuplicateId, match="doc_id='bread'"):
        make(given)


def test_one_id_with_two_texts_in_two_sources_is_told(mini):
    """The first-declared source's text is used and reranked, and the outcome says so."""
    mine, theirs = BM25(documents()), Dense(documents(TEXTS | {"bread": "bake a cake"}), embed)
    for sources, text in (
        ({"bm25": mine, "dense": theirs}, TEXTS["bread"]),
        ({"dense": theirs, "bm25": mine}, "bake a cake"),
    ):
        response = both(TwoStage(sources, reranker=mini), ASKED)
        assert ids(response).count("bread") == 1
        assert response.trace.fate("bread").candidate.document.text == text
        assert ["different texts for 'bread'" in note for note in response.outcome.notes] == [True]


@pytest.mark.parametrize("doc_id", [7, None, b"7", "", ("7",)])
def test_ids_that_are_no_strings_are_refused(doc_id):
    """In a document, and in a pair for BM25."""
    for make in (lambda: Document(doc_id, "text"), lambda: BM25([(doc_id, "text")])):
        with pytest.raises(InvalidArgument, match=r"doc_id=.*non-empty string"):
            make()


@pytest.mark.parametrize("argument", ["depth", "window", "top_k"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "9", None])
def test_counts_are_whole_numbers_from_one(argument, value):
    """For the pipeline and for one search; None asks for the pipeline's own depth and window."""
    if argument != "top_k":
        with pytest.raises(InvalidArgument) as caught:
            pipeline(**{argument: value})
        assert caught.value.argument == argument
        if value is None:
            assert both(pipeline(), ASKED, **{argument: None}).outcome.complete
            return
    assert both_raise(InvalidArgument, pipeline(), ASKED, **{argument: value}).argument == argument


def test_a_window_above_the_depth_reads_everything(mini):
    """With a window beyond the candidates, all are reranked and there is no tail."""
    response = both(pipeline(reranker=mini, depth=2, window=1000), ASKED)
    assert response.outcome.scored == response.outcome.total == len(response)
    assert {fate.scoring for fate in response.trace.fates} == {"reranked"}


def test_counts_above_everything_return_everything(mini):
    """A depth, a window and a top_k beyond any corpus are fine."""
    many = 10**12
    response = both(pipeline(reranker=mini), ASKED, depth=many, window=many, top_k=many)
    assert sorted(ids(response)) == sorted(TEXTS)
    assert ids(response) == ids(both(pipeline(reranker=mini), ASKED))


BAD_ROWS = {
    "NaN": lambda rows: rows * np.nan,
    "infinity": lambda rows: rows / 0,
    "dimensions": lambda rows: rows[:, :-1],
    "no rows": lambda rows: rows[:0],
    "a row": lambda rows: rows[0],
    "words": lambda rows: [["one"] * 32] * len(rows),
    "nothing": lambda rows: None,
}


@pytest.mark.parametrize("fault", BAD_ROWS)
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_bad_embeddings_are_named(fault):
    """While indexing and when asked; with `on_error="degrade"` the other source answers."""

    def bad(texts):
        return BAD_ROWS[fault](embed(texts))

    if fault != "dimensions":
        with pytest.raises(EmbeddingError):
            Dense(documents(), bad)
    dense = Dense(documents(), bad, embeddings=embed(TEXTS.values()))
    asked = TwoStage({"bm25": BM25(documents()), "dense": dense}, reranker=None)
    both_raise(EmbeddingError, asked, ASKED)
    response = both(dataclasses.replace(asked, on_error="degrade"), ASKED)
    assert set(ids(response)) == {"bread", "yeast"}
    (left_out,) = response.outcome.degraded
    assert (left_out.stage, left_out.source, left_out.reason) == ("recall", "dense", "permanent")


@pytest.mark.parametrize("embedding", [(1.0,) * 31, (float("nan"),) * 32, ()])
def test_a_bad_query_embedding_is_named(embedding):
    """It is the caller's vector that does not fit, and the error says so."""
    both_raise(EmbeddingError, pipeline(), Query(ASKED, embedding=embedding))


def degraded_by(asked, error):
    """Search with a reranker that raises; leniently, the fused order must come back."""
    both_raise(error, asked, ASKED)
    both_raise(error, asked, ASKED, timeout=20)
    response = both(dataclasses.replace(asked, on_error="degrade"), ASKED)
    assert ids(response) == ids(both(pipeline(), ASKED))
    assert [(one.stage, one.reason) for one in response.outcome.degraded] == [
        ("rerank", "permanent")
    ]
    return response.outcome.degraded[0].detail


def test_a_model_without_tokenizer_is_named(model):
    """The error names the file and how to make it."""
    (model / "tokenizer.json").unlink()
    detail = degraded_by(pipeline(reranker=str(model)), ModelNotFound)
    assert "tokenizer.json is missing" in detail


@pytest.mark.parametrize("fault", ["cut", "text", "empty"])
def test_a_corrupt_model_is_named(model, fault):
    """The error names the file and what to do about it."""
    graph = model / "model_int8.onnx"
    whole = graph.read_bytes()
    graph.write_bytes(
        {"cut": whole[: len(whole) // 2], "text": b"not a graph", "empty": b""}[fault]
    )
    detail = degraded_by(pipeline(reranker=str(model)), ModelDamaged)
    assert (
        "model_int8.onnx does not have the recorded checksum: fetch or export the model again"
        in detail
    )
    (model / "checksums.json").unlink(missing_ok=True)  # nobody knows what it should be
    detail = degraded_by(pipeline(reranker=str(model)), ModelDamaged)
    assert "model_int8.onnx cannot be loaded" in detail


@pytest.mark.parametrize("name", ["runoff-maxi", "./no/such/model"])
def test_a_model_that_does_not_exist_is_named(name):
    """With or without `runoff-models`, by a name of its own."""
    both_raise((PermanentError, ImportError), pipeline(reranker=name), ASKED)


def test_a_full_disk_while_saving_leaves_the_old_index(tmp_path):
    """Saving raises an OSError with the path; what was saved before is loaded and searched."""
    resource = pytest.importorskip("resource", reason="limits of files are Unix's")
    path = tmp_path / "index"
    BM25(documents()).save(path)
    large = BM25([(str(number), f"bread{number} " * 99) for number in range(500)])
    large.warmup()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"not saved.*index"):
            large.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    loaded = TwoStage({"bm25": BM25.load(path)}, reranker=None)
    assert set(ids(both(loaded, ASKED))) == {"bread", "yeast"}


def test_places_that_cannot_be_written_are_named(tmp_path):
    """An index there is an OSError with the path; a model's cache there is a ModelNotFound."""
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    with pytest.raises(OSError, match=r"not saved.*file"):
        BM25(documents()).save(blocked / "index")
    reranker = CrossEncoder("org/name", cache_dir=blocked / "cache", local_files_only=True)
    error = both_raise(ModelNotFound, pipeline(reranker=reranker), ASKED)
    assert "org/name" in str(error)


def test_what_can_only_be_read_is_read(tmp_path, model):
    """A saved index and a model on a read-only disk are searched as anywhere else."""
    path = tmp_path / "index"
    BM25(documents()).save(path)
    places = [path, *path.rglob("*"), model, *model.rglob("*")]
    modes = [one.stat().st_mode for one in places]
    for one in places:
        one.chmod(0o555 if one.is_dir() else 0o444)
    try:
        before = {one: one.stat().st_mtime_ns for one in places}
        response = both(TwoStage({"bm25": BM25.load(path)}, reranker=str(model)), ASKED)
        assert before == {one: one.stat().st_mtime_ns for one in places}
    finally:
        for one, mode in zip(places, modes, strict=True):
            one.chmod(mode)
    assert set(ids(response)) == {"bread", "yeast"}
    assert response.outcome.complete


def test_nothing_of_a_query_reaches_the_log(caplog, mini):
    """A degraded answer warns by stage, source and reason, without a word of any text."""

    def refuse(texts):
        raise TimeoutError(f"too long: {texts}")

    dense = Dense(documents(), refuse, embeddings=embed(TEXTS.values()))
    asked = TwoStage({"bm25": BM25(documents()), "dense": dense}, reranker=mini)
    with caplog.at_level("DEBUG"):
        response = asked.search(ASKED)
    assert "degraded answer: recall dense: timeout" in caplog.text
    assert "bread" not in caplog.text
    assert json.dumps(dataclasses.asdict(response.outcome))
