"""One draw over LangChain: a store, a composite, and the places where filters can be named."""

import asyncio
import functools
import warnings

from boundary import ROWS, Late, Leaky, second_stage, vector
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import ConfigurableField, RunnableLambda
from langchain_core.stores import InMemoryStore
from langchain_core.structured_query import StructuredQuery
from langchain_core.vectorstores import InMemoryVectorStore

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from langchain_classic.retrievers import (
        ContextualCompressionRetriever,
        EnsembleRetriever,
        MergerRetriever,
        MultiQueryRetriever,
        MultiVectorRetriever,
        SelfQueryRetriever,
    )
    from langchain_community.retrievers import BM25Retriever
    from langchain_community.vectorstores import FAISS

from runoff.langchain import HybridRetriever, RunoffRerank, TwoStageRetriever, provenance, two_stage
from runoff.recall import BM25
from runoff.types import Document as OurDocument
from runoff.types import Query

STORES = ["memory", "chroma", "faiss", "qdrant"]


class Vectors(Embeddings):
    def embed_documents(self, texts):
        return [vector(text) for text in texts]

    def embed_query(self, text):
        return vector(text)


def documents():
    return [
        Document(id=f"00000000-0000-0000-0000-{number:012}", page_content=text, metadata={**data})
        for number, (text, data) in enumerate(ROWS)
    ]


@functools.cache
def store_of(name):
    given = documents()
    if name == "memory":
        store = InMemoryVectorStore(Vectors())
        store.add_documents(given)
        return store
    if name == "faiss":
        return FAISS.from_documents(given, Vectors(), ids=[one.id for one in given])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name == "qdrant":
            from langchain_qdrant import QdrantVectorStore

            return QdrantVectorStore.from_documents(given, Vectors(), location=":memory:")
        import chromadb
        from langchain_chroma import Chroma

        client = chromadb.EphemeralClient(chromadb.config.Settings(anonymized_telemetry=False))
        return Chroma.from_documents(given, Vectors(), client=client, collection_name="boundary")


@functools.cache
def hybrid_of(name, **options):
    return HybridRetriever.from_vectorstore(store_of(name), reranker=None, **options)


@functools.cache
def children_of(*, told):
    """Return a retriever of parents by children, whose metadata may lack the tenant."""
    store, parents = InMemoryVectorStore(Vectors()), InMemoryStore()
    for number, one in enumerate(documents()):
        parents.mset([(one.id, one)])
        data = {"doc_id": one.id, **(one.metadata if told else {})}
        pieces = [one.page_content[:12], one.page_content[8:]]
        store.add_documents(
            [
                Document(id=f"{number}-{at}", page_content=p, metadata=data)
                for at, p in enumerate(pieces)
            ]
        )
    return MultiVectorRetriever(vectorstore=store, docstore=parents, id_key="doc_id")


class NoFilters:
    """A translator of structured queries that are about the grade."""

    def visit_structured_query(self, structured_query):
        wanted = structured_query.filter
        return structured_query.query, {} if wanted is None else {"filter": wanted}


def self_query(store, arguments, chance):
    return SelfQueryRetriever.model_construct(
        vectorstore=store,
        query_constructor=RunnableLambda(
            lambda asked: StructuredQuery.model_construct(
                query=asked["query"],
                filter=chance.choice([None, lambda one: one.metadata["grade"] == 1]),
                limit=None,
            )
        ),
        search_kwargs=arguments,
        search_type="similarity",
        structured_query_translator=NoFilters(),
        use_original_query=False,
        verbose=False,
    )


def own_filter(store, wanted):
    """Return an equality as a store's own filter."""
    if store == "memory":
        return lambda one: wanted.matches(one.metadata)
    if store == "qdrant":
        from qdrant_client import models

        key, match = f"metadata.{wanted.field}", models.MatchValue(value=wanted.value)
        return models.Filter(must=[models.FieldCondition(key=key, match=match)])
    return {wanted.field: wanted.value}


class Claims(BaseRetriever):
    """A retriever of LangChain's kind that returns everything, up to its count."""

    k: int = 4

    def _get_relevant_documents(self, query, *, run_manager):
        return documents()[: self.k]


COMPOSITES = [
    "store", "retriever", "hybrid", "hybrid inside", "hybrid bound", "two in two", "compression",
    "compression inside", "ensemble", "merger", "multi-query", "multi-query of hybrid", "parents",
    "self-query", "fallbacks", "retry", "several", "leaky", "late", "sifted", "group", "function",
]  # fmt: skip
OVER_A_RETRIEVER = {
    "retriever", "two in two", "compression", "compression inside", "ensemble", "merger",
    "multi-query", "fallbacks", "retry", "several", "leaky",
}  # fmt: skip


class LangChainDraw:
    """One draw: `ask` returns the metadata of what comes back."""

    takes_equality_alone = frozenset(
        {"search_kwargs", "inner bind", "outer bind", "hybrid search_kwargs"}
    )

    def __init__(self, chance):
        self.chance = chance
        self.composite = chance.choice(COMPOSITES)
        self.store = chance.choice(STORES)
        self.second = second_stage(chance)
        self.awaited = chance.random() < 0.2
        self.top_n = chance.choice([1, 3, 50])
        self.depth = chance.choice([1, 3, 50])

    def __repr__(self):
        return f"LangChain {self.composite} over {self.store}, {self.top_n} of {self.depth}"

    def places(self):
        """Return where a filter can be named."""
        places = ["constructor filter", "constructor filters", "dict"]
        places += ["bind", "call filter", "call filters", "again", "configured", "query"]
        if self.composite in OVER_A_RETRIEVER:
            places += ["search_kwargs"]
            places += ["outer bind"]
            if self.composite not in {"merger", "multi-query"}:  # they take no bindings
                places += ["inner bind"]
        if self.composite == "self-query":
            places += ["search_kwargs"]
        if self.composite in {"hybrid", "hybrid inside", "hybrid bound", "two in two"}:
            places += ["inner", "hybrid search_kwargs"]
        return places

    def _target(self, named):  # noqa: C901, PLR0911, PLR0912 - one branch a composite
        name, chance = self.composite, self.chance
        store = store_of(self.store)
        arguments = {}
        if "search_kwargs" in named:
            arguments["filter"] = own_filter(self.store, named["search_kwargs"])
        inner = store.as_retriever(search_kwargs=arguments)
        if "inner bind" in named:
            inner = inner.bind(filter=own_filter(self.store, named["inner bind"]))
        if name.startswith("hybrid") or name in {"two in two", "multi-query of hybrid"}:
            hybrid = hybrid_of(self.store)
            if "hybrid search_kwargs" in named:
                given = own_filter(self.store, named["hybrid search_kwargs"])
                hybrid = hybrid_of.__wrapped__(self.store, search_kwargs={"filter": given})
            if "inner" in named:
                hybrid = two_stage(hybrid, reranker=None, filter=named["inner"])
        if name in {"hybrid", "group", "function", "store", "late"}:
            return hybrid if name == "hybrid" else store
        if name == "hybrid inside":
            return {"only": hybrid}
        if name == "hybrid bound":
            return {"only": hybrid.bind(depth=20)}
        if name == "two in two":
            two = TwoStageRetriever(retriever=inner, reranker=None, filter=named.get("inner"))
            return {"only": two}
        if name == "compression":
            rerank = RunoffRerank(reranker=self.second or "runoff-mini", top_n=9)
            return ContextualCompressionRetriever(base_compressor=rerank, base_retriever=inner)
        if name == "compression inside":
            rerank = RunoffRerank(reranker="runoff-mini", top_n=2)
            made = ContextualCompressionRetriever(base_compressor=rerank, base_retriever=inner)
            return {"only": made}
        if name in {"ensemble", "merger"}:
            words = BM25Retriever.from_documents(documents(), k=3)
            if name == "merger":
                return MergerRetriever(retrievers=[inner, words])
            return EnsembleRetriever(retrievers=[inner, words], weights=[0.5, 0.5])
        if name.startswith("multi-query"):
            asked = RunnableLambda(lambda _: ["oil", "gas report"])
            over = hybrid if "hybrid" in name else inner
            return MultiQueryRetriever(retriever=over, llm_chain=asked)
        if name == "parents":
            return children_of(told=chance.random() < 0.5)
        if name == "self-query":
            self.store = "memory"
            arguments = {}
            if "search_kwargs" in named:
                arguments["filter"] = own_filter("memory", named["search_kwargs"])
            return self_query(store_of("memory"), arguments, chance)
        if name == "fallbacks":
            return inner.with_fallbacks([BM25Retriever.from_documents(documents(), k=3)])
        if name == "retry":
            return inner.with_retry()
        if name == "several":
            words = BM25([OurDocument(d.id, d.page_content, d.metadata) for d in documents()])
            return {"bm25": words, "dense": inner}
        if name == "leaky":
            return {"mine": Leaky(), "dense": inner}
        return Claims() if name == "sifted" else inner

    def ask(self, named):  # noqa: C901, PLR0912, PLR0915 - one branch a place
        """Ask, with the filters in their places."""
        target = self._target(named)
        if "outer bind" in named and not isinstance(target, dict):
            target = target.bind(filter=own_filter(self.store, named["outer bind"]))
            if self.composite in {"retriever", "retry"}:
                named.pop("inner bind", None)  # LangChain has replaced it before we see it
        else:
            named.pop("outer bind", None)
        options = {"reranker": self.second, "top_n": self.top_n, "depth": self.depth}
        config, call = {}, {}
        if self.composite == "group":
            options["group"] = "parent_id"
        if self.composite == "late":
            target = {"quick": target, "late": Leaky(wait=0.015)}
            options |= {"reranker": Late(), "timeout": 0.02}
        if "constructor filter" in named:
            options["filter"] = named["constructor filter"]
        if "constructor filters" in named:
            options["filters"] = named["constructor filters"]
        made = two_stage(target, **options)
        if "again" in named:
            made = two_stage(made, filter=named["again"], reranker=self.second, top_n=self.top_n)
        if "dict" in named:
            made = two_stage(made, filters=_as_dict(named["dict"]), reranker=self.second)
        if "query" in named and "configured" not in named and self.chance.random() < 0.7:
            if {"bind", "call filter", "call filters"} & named.keys():
                named.pop("query")
            else:
                response = made.pipeline.search(Query("oil report", filters=named["query"]))
                return [one.document.metadata for one in response]
        elif "query" in named:
            call["filter"] = named["query"]
        if "configured" in named:
            field = self.chance.choice(["filter", "filters"])
            made = made.configurable_fields(**{field: ConfigurableField(id="tenant")})
            if self.chance.random() < 0.5:
                made = made.with_config(configurable={"tenant": named["configured"]})
            else:
                config = {"configurable": {"tenant": named["configured"]}}
        if "bind" in named:
            if self.chance.random() < 0.3:
                made = made.with_config(tags=["x"])
            made = made.bind(**{self.chance.choice(["filter", "filters"]): named["bind"]})
        if "call filter" in named:
            if "filter" in call:
                named.pop("query")
            call["filter"] = named["call filter"]
        if "call filters" in named:
            call["filters"] = named["call filters"]
        if self.awaited:
            found = asyncio.run(made.ainvoke("oil report", config, **call))
        else:
            found = made.invoke("oil report", config, **call)
        assert all(provenance(one) for one in found)
        return [one.metadata for one in found]


def _as_dict(wanted):
    """Return an equality as users write it, and any other filter as it is."""
    return {wanted.field: wanted.value} if hasattr(wanted, "value") else wanted
