"""Documents, queries and hits: what they refuse, and their short reprs."""

import copy
import dataclasses
import inspect
import pickle
import types

import pytest
from parts import Backwards, Listed

from runoff._util.messages import short_repr
from runoff.errors import InvalidArgument
from runoff.filters import Eq
from runoff.pipeline import TwoStage
from runoff.recall import BM25
from runoff.scores import ModelIdentity, PairScores, ScoreKind
from runoff.trace import Fate, FateKind, Scoring
from runoff.types import (
    Candidate,
    Document,
    Dropped,
    Hit,
    Outcome,
    Placement,
    Query,
    Ranked,
    Result,
)


@pytest.mark.parametrize("doc_id", [None, "", 7, b"a"])
def test_an_id_is_a_non_empty_string(doc_id):
    """Everything else is refused, numbers too: `"7"` and `7` would be two documents."""
    with pytest.raises(InvalidArgument, match=r"doc_id=.*must be a non-empty string"):
        Document(doc_id, "text")


@pytest.mark.parametrize("text", [None, 7, b"text"])
def test_a_text_is_a_string(text):
    """The error names the document."""
    with pytest.raises(InvalidArgument, match=r"text=.*must be a string \(id 'a'\)"):
        Document("a", text)


@pytest.mark.parametrize("metadata", [None, [("year", 2020)], "year"])
def test_metadata_is_a_mapping(metadata):
    """The error names the document, and not the filter that would fail on it later."""
    with pytest.raises(InvalidArgument, match=r"metadata=.*must map names to values \(id 'a'\)"):
        Document("a", "text", metadata)


def test_any_mapping_may_be_metadata():
    """It is kept as it was given."""
    metadata = types.MappingProxyType({"year": 2020})
    assert Document("a", "text", metadata).metadata is metadata


@pytest.mark.parametrize("filters", [{"year": 2020}, "year = 2020", Eq, [Eq("year", 2020)]])
def test_filters_are_filters(filters):
    """A filter of another library is refused before any source is asked."""
    with pytest.raises(InvalidArgument, match=r"filter=.*must be one of Eq"):
        Query("q", filters=filters)


@pytest.mark.parametrize("texts", ["one text", ("one", None)])
def test_embedding_texts_are_a_tuple_of_strings(texts):
    """One string is refused, whose letters would be embedded one by one."""
    with pytest.raises(InvalidArgument, match=r"embedding_texts=.*must be a tuple of strings"):
        Query("q", embedding_texts=texts)


def test_data_survives_pickling():
    """Queries, documents and hits come back equal."""
    hit = Hit(Document("\ud800", "text\0", {"year": 2020}, own_id=False), 1.0, (0.0, None), "key")
    query = Query("q", filters=Eq("year", 2020), embedding=(1.0, 2.0))
    assert pickle.loads(pickle.dumps((query, hit))) == (query, hit)


class Client:
    def __repr__(self):
        return "Client(api_key='sk-secret')"


def test_errors_name_foreign_objects_by_their_class():
    """An error about a client shows its class, not its key."""
    with pytest.raises(InvalidArgument, match=r"Client object>: must be one of") as caught:
        TwoStage({"bm25": BM25(["text"])}, reranker=Client())
    assert "secret" not in str(caught.value)
    assert short_repr(7) == "7"
    assert short_repr({"a": 1}) == "{'a': 1}"
    assert short_repr(Eq("year", 2020)) == "Eq(field='year', value=2020)"


def answer(documents):
    """An answer from many long documents, and the reranking behind it."""
    text = "a word " * 2000
    sources = {"a": Listed(*(Document(f"d{n}", text, {"t": text}) for n in range(documents)))}
    kept = []

    class Kept(Backwards):
        def rerank(self, query, candidates, *, deadline=None):
            kept.append(super().rerank(query, candidates, deadline=deadline))
            return kept[-1]

    query = Query(text, embedding=(0.5,) * 384, embedding_texts=(text,) * 9)
    return TwoStage(sources, reranker=Kept()).search(query), kept[0]


def test_reprs_stay_short():
    """However much it holds, no part of an answer prints more than a few lines."""
    response, reranking = answer(100)
    (fate, *_), (stage, *_) = response.trace.fates, response.trace.stages
    dropped = Dropped(fate.candidate, "below threshold")
    scores = PairScores.none_of(1000, ScoreKind.LOGIT, ModelIdentity("m"), "timeout")
    for short in (response, response.trace, response.outcome, response.query, stage, reranking):
        assert len(repr(short)) < 350
    for one in (fate, fate.candidate, response[0], reranking.ordered[0], dropped, scores):
        assert len(repr(one)) < 600
    assert "100 candidates" in repr(response.trace)
    assert "a word a word" in repr(response[0].document)


def test_a_repr_shows_what_differs_from_the_defaults():
    """A field that has its default is left out, and every other one is there."""
    assert repr(Document("a", "text")) == "Document(doc_id='a', text='text')"
    assert repr(Document("a", "text", {"n": 1}, own_id=False)) == (
        "Document(doc_id='a', text='text', metadata={'n': 1}, own_id=False)"
    )
    assert repr(Outcome(scored=1, budget_ms=5.0)) == "Outcome(scored=1, budget_ms=5.0)"


DOCUMENT = Document("a", "x")
CANDIDATE = Candidate(DOCUMENT, "a", 0.5, 1)


@pytest.mark.parametrize(
    ("kind", "required"),
    [
        (Hit, (DOCUMENT, 0.5)),
        (Placement, ("bm25", 1, 0.5)),
        (Candidate, (DOCUMENT, "a", 0.5, 1)),
        (Ranked, (CANDIDATE, 0.5)),
        (Result, (1, CANDIDATE)),
        (Fate, (CANDIDATE, FateKind.CUT, 1, Scoring.OFF)),
    ],
)
def test_what_is_made_by_the_hundred_is_a_dataclass_like_any_other(kind, required):
    """Its signature, defaults, errors, equality, copies and pickles are those of its fields."""
    fields = dataclasses.fields(kind)
    names = [one.name for one in fields]
    parameters = inspect.signature(kind).parameters
    nothing = inspect.Parameter.empty
    assert [(one.name, one.default) for one in parameters.values()] == [
        (one.name, nothing if one.default is dataclasses.MISSING else one.default) for one in fields
    ]
    made = kind(*required)
    values = {name: getattr(made, name) for name in names}
    assert tuple(values.values())[: len(required)] == required
    assert made == kind(**values) == pickle.loads(pickle.dumps(made)) == copy.copy(made)
    other = dataclasses.replace(made, **{names[-1]: "other"})
    assert (getattr(other, names[-1]), other == made) == ("other", False)
    with pytest.raises(TypeError, match="missing"):
        kind(*required[:-1])
    with pytest.raises(TypeError, match="unexpected"):
        kind(*required, nobody=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, names[0], None)
