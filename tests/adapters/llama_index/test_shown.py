"""Engines that runoff returns say what they do, and are what they were."""

import copy
import pickle

import pytest
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.evaluation import EvaluationResult
from llama_index.core.indices.query.query_transform.base import IdentityQueryTransform
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.span_handlers import BaseSpanHandler
from llama_index.core.llms import MockLLM
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.postprocessor import LongContextReorder, SimilarityPostprocessor
from llama_index.core.query_engine import (
    CitationQueryEngine,
    RetrieverQueryEngine,
    RetryQueryEngine,
    TransformQueryEngine,
)

from runoff.filters import Eq
from runoff.live import watch
from runoff.llama_index import HybridRetriever, TwoStageRetriever, two_stage

QUERY = "sort dictionaries by value"
ONE = "{dense: VectorIndexRetriever}, depth=100, top_n=3, reranker=overlap, window=50"


class Subclassed(RetrieverQueryEngine):
    """A user's engine, with state of its own."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.note = "mine"


class Described(RetrieverQueryEngine):
    """A user's engine that says itself what it is."""

    def __repr__(self):
        return "mine"


class Registering(RetrieverQueryEngine):
    """A user's engine that keeps a list of its subclasses."""

    made = ()

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        Registering.made += (cls,)


class Reduced(RetrieverQueryEngine):
    """A user's engine that says itself how it is copied."""

    def __reduce__(self):
        return type(self), (self._retriever, self._response_synthesizer)


def subclassed(kind):
    def make(index):
        return kind.from_args(index.as_retriever(), llm=MockLLM())

    return make


ENGINES = {
    "RetrieverQueryEngine": lambda index: index.as_query_engine(llm=MockLLM()),
    "CitationQueryEngine": lambda index: CitationQueryEngine.from_args(index, llm=MockLLM()),
    "ContextChatEngine": lambda index: index.as_chat_engine(
        "context", llm=MockLLM(), memory=ChatMemoryBuffer.from_defaults()
    ),
    "CondensePlusContextChatEngine": lambda index: index.as_chat_engine(
        "condense_plus_context", llm=MockLLM(), memory=ChatMemoryBuffer.from_defaults()
    ),
    "Subclassed": subclassed(Subclassed),
    "Reduced": subclassed(Reduced),
}


def texts(engine):
    return [one.text for one in engine.query(QUERY).source_nodes]


@pytest.mark.parametrize("name", ENGINES)
class TestEveryKind:
    def test_it_says_what_it_does(self, overlap, index, name):
        """The `repr` has the sources, the depth, the second stage and how many it returns."""
        engine = two_stage(ENGINES[name](index), top_n=3, reranker=overlap())
        assert repr(engine) == f"{name}({ONE})"
        page = engine._repr_html_()
        assert f"<strong>{name}</strong>" in page
        assert "<td>depth</td><td>100</td>" in page
        assert "<td>reranker</td><td>overlap</td>" in page

    def test_it_is_still_of_the_engines_class(self, overlap, index, name):
        """The copy is an instance of the given class under its name; the original is untouched."""
        plain = ENGINES[name](index)
        kind = type(plain)
        engine = two_stage(plain, reranker=overlap())
        assert isinstance(engine, kind)
        assert type(engine).__qualname__ == kind.__qualname__
        assert type(engine).__module__ == kind.__module__
        assert type(plain) is kind
        assert "object at" in repr(plain)
        assert type(two_stage(ENGINES[name](index), reranker=overlap())) is type(engine)

    def test_copies_answer_and_show_alike(self, index, name):
        """Copied, deeply copied and pickled, as far as the original can be, it is the same."""
        plain = ENGINES[name](index)
        engine = two_stage(plain, top_n=3, reranker=None)
        for again in (copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))):
            try:
                again(plain)
            except Exception as error:  # noqa: BLE001 - whatever the original raises
                with pytest.raises(type(error)):
                    again(engine)
                continue
            other = again(engine)
            assert isinstance(other, type(plain))
            assert "object at" not in repr(other)
            if name == "Reduced":  # its postprocessors are left out
                continue
            assert repr(other) == repr(engine)
            if isinstance(engine, BaseQueryEngine):
                assert texts(other) == texts(engine)


def test_at_least_one_engine_is_pickled(index):
    """The test above compares pickles: LlamaIndex's own engine can be pickled."""
    engine = two_stage(index.as_query_engine(llm=MockLLM()), reranker=None)
    assert b"_remade" in pickle.dumps(engine)


def test_a_class_that_knows_its_subclasses_gets_none(overlap, index):
    """A registry does not see a class that its user never wrote; the view is left out."""
    engine = two_stage(subclassed(Registering)(index), reranker=overlap())
    assert type(engine) is Registering
    assert Registering.made == ()


def test_state_of_a_subclass_is_copied(index):
    """Attributes go along."""
    engine = two_stage(subclassed(Subclassed)(index), reranker=None)
    assert engine.note == "mine"
    deep = copy.deepcopy(engine)
    assert deep.note == "mine"


def test_an_engine_that_describes_itself_is_left_alone(overlap, index):
    """Its class stays as it is, with its own `repr`."""
    engine = two_stage(subclassed(Described)(index), reranker=overlap())
    assert type(engine) is Described
    assert repr(engine) == "mine"


def test_what_stands_around_the_second_stage_is_shown(overlap, index):
    """Postprocessors before and after it, filters and other options are in the `repr`."""
    after = [SimilarityPostprocessor(similarity_cutoff=0.0), LongContextReorder()]
    plain = index.as_query_engine(llm=MockLLM(), node_postprocessors=after)
    engine = two_stage(plain, top_n=2, reranker=overlap(), window=7)
    assert repr(engine) == (
        "RetrieverQueryEngine({dense: VectorIndexRetriever}, depth=100, "
        "before=[SimilarityPostprocessor], top_n=2, reranker=overlap, window=7, "
        "after=[LongContextReorder])"
    )


def test_engines_over_our_retrievers_show_them(overlap, index, nodes, embed_model):
    """`as_query_engine`, and an engine that wraps another, show what is inside."""
    wide = two_stage(index, reranker=overlap(), filters=Eq("lang", "en"))
    assert isinstance(wide, TwoStageRetriever)
    engine = wide.as_query_engine(llm=MockLLM())
    assert repr(engine).startswith(
        "RetrieverQueryEngine({dense: VectorIndexRetriever}, reranker=overlap, top_n=5, depth=100"
    )
    assert "filters=" in repr(engine)
    hybrid = HybridRetriever.from_defaults(nodes=nodes, embed_model=embed_model)
    assert "{bm25: BM25, dense: VectorIndexRetriever}" in repr(
        hybrid.as_query_engine(llm=MockLLM())
    )
    inner = TransformQueryEngine(index.as_query_engine(llm=MockLLM()), IdentityQueryTransform())
    transformed = two_stage(inner, top_n=3, reranker=overlap())
    assert repr(transformed) == f"TransformQueryEngine(RetrieverQueryEngine({ONE}))"
    assert "RetrieverQueryEngine" in transformed._repr_html_()


def test_what_is_watched_says_so(overlap, index, tmp_path):
    """Watched engines and retrievers show what they are and that they are watched."""
    plain = index.as_query_engine(llm=MockLLM())
    found = {
        "plain": watch(plain, tmp_path / "a"),
        "postprocessed": watch(
            index.as_query_engine(llm=MockLLM(), node_postprocessors=[LongContextReorder()]),
            tmp_path / "b",
        ),
        "retriever": watch(index.as_retriever(), tmp_path / "c"),
        "ours": watch(two_stage(plain, reranker=overlap()), tmp_path / "d"),
    }
    assert {name: repr(one) for name, one in found.items()} == {
        "plain": "RetrieverQueryEngine({dense: VectorIndexRetriever}, watched=True)",
        "postprocessed": "RetrieverQueryEngine({dense: VectorIndexRetriever}, "
        "postprocessors=[LongContextReorder], watched=True)",
        "retriever": "WatchedRetriever({dense: VectorIndexRetriever})",
        "ours": "RetrieverQueryEngine({dense: VectorIndexRetriever}, depth=100, top_n=5, "
        "reranker=overlap, window=50, observer=Watcher)",
    }
    assert all('<div class="runoff">' in one._repr_html_() for one in found.values())


def test_spans_keep_the_name_of_the_engine(overlap, index):
    """Instrumentation sees one span of a query, under the name of the engine's class."""
    seen = []

    class Spans(BaseSpanHandler):
        def new_span(self, id_, bound_args, instance=None, parent_span_id=None, tags=None, **rest):
            seen.append(id_)

        def prepare_to_exit_span(self, id_, bound_args, instance=None, result=None, **rest):
            pass

        def prepare_to_drop_span(self, id_, bound_args, instance=None, err=None, **rest):
            pass

    engine = two_stage(index.as_query_engine(llm=MockLLM()), reranker=overlap())
    handler, root = Spans(), get_dispatcher()
    root.add_span_handler(handler)
    try:
        engine.query(QUERY)
    finally:
        root.span_handlers.remove(handler)
    names = [one.rpartition("-")[0].partition("-")[0] for one in seen]
    assert names.count("RetrieverQueryEngine._query") == 1
    assert names.count("RetrieverQueryEngine.query") == 1


def test_it_works_inside_an_engine_that_retries(overlap, index):
    """RetryQueryEngine asks it like any other."""

    class Passing:
        def evaluate_response(self, query, response):
            return EvaluationResult(passing=True)

    better = two_stage(index.as_query_engine(llm=MockLLM()), top_n=1, reranker=overlap())
    assert texts(RetryQueryEngine(better, Passing())) == ["sort dictionaries by value"]


def test_hostile_names_stay_text(index):
    """A class whose name has HTML or control characters moves no cursor and makes no tag."""
    kind = type("<b>\x1b[2J", (RetrieverQueryEngine,), {})
    engine = two_stage(kind.from_args(index.as_retriever(), llm=MockLLM()), reranker=None)
    assert "\x1b" not in repr(engine)
    assert "<b>" not in engine._repr_html_()


def test_an_engine_that_is_not_made_yet_is_shown(index):
    """A debugger shows an engine whose attributes are not there yet."""
    kind = type(two_stage(index.as_query_engine(llm=MockLLM()), reranker=None))
    empty = kind.__new__(kind)
    assert repr(empty) == "RetrieverQueryEngine()"
    assert "RetrieverQueryEngine" in empty._repr_html_()
