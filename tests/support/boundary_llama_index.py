"""One draw over LlamaIndex: a store, a composite, and the places where filters can be named."""

import asyncio
import functools
import itertools
import warnings

from boundary import ROWS, Late, Leaky, second_stage, vector
from llama_index.core import StorageContext, SummaryIndex, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.indices.query.query_transform.base import IdentityQueryTransform
from llama_index.core.llms import MockLLM
from llama_index.core.postprocessor import (
    MetadataReplacementPostProcessor,
    PrevNextNodePostprocessor,
)
from llama_index.core.retrievers import (
    AutoMergingRetriever,
    QueryFusionRetriever,
    RecursiveRetriever,
    TransformRetriever,
)
from llama_index.core.schema import IndexNode, NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.storage.docstore import SimpleDocumentStore

from runoff.llama_index import FilteredQueryBundle, HybridRetriever, TwoStageRetriever, two_stage
from runoff.llama_index._filters import to_metadata_filters
from runoff.types import Query

STORES = ["simple", "chroma", "qdrant"]


class Vectors(BaseEmbedding):
    def _get_query_embedding(self, query):
        return vector(query)

    def _get_text_embedding(self, text):
        return vector(text)

    async def _aget_query_embedding(self, query):
        return vector(query)


def nodes():
    made = [
        TextNode(
            id_=f"00000000-0000-0000-0000-{number:012}",
            text=text,
            metadata={**data, "window": text},
        )
        for number, (text, data) in enumerate(ROWS)
    ]
    for left, right in itertools.pairwise(made):
        left.relationships[NodeRelationship.NEXT] = RelatedNodeInfo(node_id=right.node_id)
        right.relationships[NodeRelationship.PREVIOUS] = RelatedNodeInfo(node_id=left.node_id)
    return made


@functools.cache
def index_of(name):
    if name == "simple":
        return VectorStoreIndex(nodes(), embed_model=Vectors())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name == "qdrant":
            from llama_index.vector_stores.qdrant import QdrantVectorStore
            from qdrant_client import QdrantClient

            store = QdrantVectorStore("boundary", client=QdrantClient(location=":memory:"))
        else:
            import chromadb
            from llama_index.vector_stores.chroma import ChromaVectorStore

            client = chromadb.EphemeralClient(chromadb.config.Settings(anonymized_telemetry=False))
            store = ChromaVectorStore(client.get_or_create_collection("boundary-nodes"))
        return VectorStoreIndex(
            nodes(),
            embed_model=Vectors(),
            storage_context=StorageContext.from_defaults(vector_store=store),
        )


@functools.cache
def hybrid_of(name):
    return HybridRetriever.from_defaults(index=index_of(name), nodes=nodes(), reranker=None)


@functools.cache
def merging_of():
    """Return leaves in an index, and a docstore with parents of two tenants."""
    parents, leaves = [], []
    for number, (text, data) in enumerate(ROWS[:12]):
        parent = TextNode(id_=f"parent-{number}", text=text, metadata=dict(data))
        for half in range(2):
            other = ROWS[number + half][1]  # a leaf may be another tenant's
            leaf = TextNode(id_=f"leaf-{number}-{half}", text=text, metadata=dict(other))
            leaf.relationships[NodeRelationship.PARENT] = parent.as_related_node_info()
            parent.relationships.setdefault(NodeRelationship.CHILD, []).append(
                leaf.as_related_node_info()
            )
            leaves.append(leaf)
        parents.append(parent)
    docstore = SimpleDocumentStore()
    docstore.add_documents([*parents, *leaves])
    storage = StorageContext.from_defaults(docstore=docstore)
    return VectorStoreIndex(leaves, embed_model=Vectors(), storage_context=storage), storage


@functools.cache
def pointing_of():
    """Return an index of pointers to nodes that may be another tenant's."""
    targets = nodes()
    pointers = [
        IndexNode(id_=f"pointer-{number}", text=text, index_id=targets[number + 1].node_id,
                  obj=targets[number + 1], metadata=dict(data))
        for number, (text, data) in enumerate(ROWS[:20])
    ]  # fmt: skip
    return VectorStoreIndex(objects=pointers, embed_model=Vectors())


COMPOSITES = [
    "index", "retriever", "hybrid", "hybrid inside", "two in two", "fusion", "fusion of hybrid",
    "merging", "recursive", "pointers", "transform", "summary", "engine", "window", "neighbours",
    "engine twice", "several", "leaky", "late", "group",
]  # fmt: skip
OVER_A_RETRIEVER = {
    "retriever", "two in two", "fusion", "transform", "recursive", "engine", "window",
    "neighbours", "engine twice", "several", "leaky", "group",
}  # fmt: skip
ENGINES = {"engine", "window", "neighbours", "engine twice"}


class LlamaIndexDraw:
    """One draw: `ask` returns the metadata of what comes back."""

    takes_equality_alone = frozenset({"as_retriever"})

    def __init__(self, chance):
        self.chance = chance
        self.composite = chance.choice(COMPOSITES)
        self.store = chance.choice(STORES)
        self.second = second_stage(chance)
        self.awaited = chance.random() < 0.2
        self.top_n = chance.choice([1, 3, 50])
        self.depth = chance.choice([1, 3, 50])

    def __repr__(self):
        return f"LlamaIndex {self.composite} over {self.store}, {self.top_n} of {self.depth}"

    def places(self):
        """Return where a filter can be named."""
        places = ["bundle", "metadata filters"]
        if self.composite not in ENGINES:
            places += ["constructor", "replace", "again", "query"]
        if self.composite in OVER_A_RETRIEVER:
            places += ["as_retriever"]
        if self.composite in {"hybrid", "hybrid inside", "two in two", "fusion of hybrid"}:
            places += ["inner"]
        return places

    def _target(self, named):
        name = self.composite
        index = index_of(self.store)
        own = named.get("as_retriever")
        inner = index.as_retriever(filters=None if own is None else to_metadata_filters(own))
        hybrid = hybrid_of(self.store)
        if "inner" in named:
            hybrid = hybrid.replace(filters=named["inner"])
        if name in {"fusion", "fusion of hybrid"}:
            return QueryFusionRetriever(
                [hybrid if "hybrid" in name else inner], llm=MockLLM(), num_queries=1,
                use_async=False,
            )  # fmt: skip
        if name == "merging":
            leaves, storage = merging_of()
            return AutoMergingRetriever(leaves.as_retriever(), storage, simple_ratio_thresh=0.4)
        if name in ENGINES:
            after = {
                "window": [MetadataReplacementPostProcessor(target_metadata_key="window")],
                "neighbours": [
                    PrevNextNodePostprocessor(docstore=_docstore(), num_nodes=2, mode="both")
                ],
            }.get(name, [])
            return inner, after
        return {
            "index": lambda: index,
            "hybrid": lambda: hybrid,
            "hybrid inside": lambda: {"only": hybrid},
            "two in two": lambda: {
                "only": TwoStageRetriever(inner, reranker=None, filters=named.get("inner"))
            },
            "recursive": lambda: RecursiveRetriever("root", retriever_dict={"root": inner}),
            "pointers": lambda: pointing_of().as_retriever(),
            "transform": lambda: TransformRetriever(inner, IdentityQueryTransform()),
            "summary": lambda: SummaryIndex(nodes()).as_retriever(),
            "several": lambda: {"bm25": hybrid.pipeline.sources["bm25"], "dense": inner},
            "leaky": lambda: {"mine": Leaky(), "dense": inner},
            "late": lambda: {"quick": inner, "late": Leaky(wait=0.015)},
        }.get(name, lambda: inner)()

    def ask(self, named):  # noqa: C901, PLR0912 - one branch a place
        """Ask, with the filters in their places."""
        options = {"reranker": self.second, "top_n": self.top_n, "depth": self.depth}
        target = self._target(named)
        bundle = FilteredQueryBundle("oil report", filters=named.get("bundle"))
        if "metadata filters" in named:
            if "bundle" in named:
                named.pop("bundle")
            bundle.filters = to_metadata_filters(named["metadata filters"])
        if self.composite in ENGINES:
            return self._of_engine(target, options, bundle)
        if self.composite == "group":
            options["group"] = "parent_id"
        if self.composite == "late":
            options |= {"reranker": Late(), "timeout": 0.02}
        if "constructor" in named:
            options["filters"] = named["constructor"]
        if isinstance(target, dict):
            made = TwoStageRetriever(target, **options)
        else:
            made = two_stage(target, **options)
        if "again" in named:
            made = two_stage(made, filters=named["again"], top_n=self.top_n)
        if "replace" in named:
            if made.filters is None:
                made = made.replace(filters=named["replace"])
            else:
                named.pop("replace")  # it replaces the option, as it says
        if "query" in named and not {"bundle", "metadata filters"} & named.keys():
            response = made.pipeline.search(Query("oil report", filters=named["query"]))
            return [one.document.metadata for one in response]
        named.pop("query", None)
        if self.awaited:
            return [one.node.metadata for one in asyncio.run(made.aretrieve(bundle))]
        return [one.node.metadata for one in made.retrieve(bundle)]

    def _of_engine(self, target, options, bundle):
        from llama_index.core.query_engine import RetrieverQueryEngine

        retriever, after = target
        options["reranker"] = options["reranker"] or "runoff-mini"
        engine = RetrieverQueryEngine.from_args(retriever, llm=MockLLM(), node_postprocessors=after)
        made = two_stage(engine, **options)
        if self.composite == "engine twice":
            made = two_stage(made, **options)
        return [one.node.metadata for one in made.query(bundle).source_nodes]


@functools.cache
def _docstore():
    docstore = SimpleDocumentStore()
    docstore.add_documents(nodes())
    return docstore
