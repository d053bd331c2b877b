import pytest
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler

from runoff.errors import ServerFailed
from runoff.llama_index import RunoffRerank, TwoStageRetriever

QUERY = "sort dictionaries by value"


def ids(nodes):
    return [one.node_id for one in nodes]


class Fixed(BaseRetriever):
    """A retriever of given nodes."""

    similarity_top_k = 10

    def __init__(self, found):
        self.found = found
        super().__init__()

    def _retrieve(self, query_bundle):
        return self.found


class Recorder(BaseCallbackHandler):
    def __init__(self):
        super().__init__([], [])
        self.started = []
        self.ended = []
        self.parents = {}

    def on_event_start(self, event_type, payload=None, event_id="", parent_id="", **kwargs):
        self.started.append((event_type, payload))
        self.parents[event_type] = parent_id
        return event_id

    def on_event_end(self, event_type, payload=None, event_id="", **kwargs):
        self.ended.append((event_type, payload))

    def start_trace(self, trace_id=None):
        pass

    def end_trace(self, trace_id=None, trace_map=None):
        pass


@pytest.fixture
def recorded():
    """All events and finished spans of LlamaIndex's dispatcher during a test."""
    events = []

    class Handler(BaseEventHandler):
        @classmethod
        def class_name(cls):
            return "Handler"

        def handle(self, event, **kwargs):
            events.append(event)

    root = get_dispatcher()
    handler, spans = Handler(), SimpleSpanHandler()
    root.add_event_handler(handler)
    root.add_span_handler(spans)
    yield events, spans
    root.event_handlers.remove(handler)
    root.span_handlers.remove(spans)


class TestEvents:
    @pytest.mark.parametrize("awaited", [False, True])
    async def test_the_postprocessor_is_heard_of(self, overlap, scored, recorded, awaited):
        """Events of both kinds and a span carry query, nodes, model and result."""
        events, spans = recorded
        callbacks = Recorder()
        rerank = RunoffRerank(
            reranker=overlap(), top_n=2, callback_manager=CallbackManager([callbacks])
        )
        if awaited:
            came = await rerank.apostprocess_nodes(scored, query_str=QUERY)
        else:
            came = rerank.postprocess_nodes(scored, query_str=QUERY)
        start, end = events
        assert isinstance(start, ReRankStartEvent)
        assert isinstance(end, ReRankEndEvent)
        assert (start.query.query_str, start.top_n, start.model_name) == (QUERY, 2, "overlap")
        assert (ids(start.nodes), ids(end.nodes)) == (ids(scored), ids(came))
        assert [kind for kind, _ in callbacks.started] == [CBEventType.RERANKING]
        payload = callbacks.started[0][1]
        assert (payload[EventPayload.TOP_K], payload[EventPayload.QUERY_STR]) == (2, QUERY)
        assert ids(callbacks.ended[0][1][EventPayload.NODES]) == ids(came)
        name = "_apostprocess_nodes" if awaited else "_postprocess_nodes"
        assert [name in span.id_ for span in spans.completed_spans] == [True]
        assert all(event.span_id == spans.completed_spans[0].id_ for event in events)

    @pytest.mark.parametrize("awaited", [False, True])
    async def test_the_retrievers_second_stage_is_heard_of(
        self, overlap, scored, recorded, awaited
    ):
        """Reranking events lie within the retrieval, with the span of the retrieval above them."""
        events, spans = recorded
        callbacks = Recorder()
        wide = TwoStageRetriever(
            Fixed(scored),
            reranker=overlap(),
            top_n=2,
            callback_manager=CallbackManager([callbacks]),
        )
        came = await wide.aretrieve(QUERY) if awaited else wide.retrieve(QUERY)
        kinds = [type(event).__name__ for event in events]
        assert kinds == [
            "RetrievalStartEvent",
            "RetrievalStartEvent",
            "RetrievalEndEvent",
            "ReRankStartEvent",
            "ReRankEndEvent",
            "RetrievalEndEvent",
        ]
        assert ids(events[4].nodes)[:2] == ids(came)
        assert [kind for kind, _ in callbacks.started] == [
            CBEventType.RETRIEVE,
            CBEventType.RERANKING,
        ]
        by_id = {span.id_: span for span in spans.completed_spans}
        names = {span.id_.split("-")[0]: span for span in spans.completed_spans}
        inner = names[f"AwaitableObserved.{'arerank' if awaited else 'rerank'}"]
        outer = by_id[inner.parent_id]
        assert outer.id_.startswith("TwoStageRetriever._")

    def test_an_error_ends_the_callback_event_with_it(self, overlap, scored):
        """A raised error is in the end event's payload."""
        callbacks = Recorder()
        rerank = RunoffRerank(
            reranker=overlap(error=ServerFailed("503")),
            on_error="raise",
            callback_manager=CallbackManager([callbacks]),
        )
        with pytest.raises(ServerFailed):
            rerank.postprocess_nodes(scored, query_str=QUERY)
        assert isinstance(callbacks.ended[0][1][EventPayload.EXCEPTION], ServerFailed)
