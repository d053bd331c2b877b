"""What an event loop feels while 50 questions are asked through the adapters over real stores."""

from __future__ import annotations

import asyncio
import tempfile
from typing import TYPE_CHECKING

from concurrency import SEARCHES, Ask, lateness
from harness import Report, Requirement, Skipped, Table, percentile
from judged import Collection

from runoff.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness import Options

__all__ = ["run"]

_WINDOW = 10


def run(options: Options) -> Report:
    """Measure every store that is installed."""
    collection = Collection.load("scifact", 8 if options.quick else 24)
    size, rounds, span = (20, 1, 0.1) if options.quick else (300, 3, 2.0)
    texts = list(collection.queries.values())
    asked = [texts[at % len(texts)] for at in range(4 if options.quick else SEARCHES)]
    rows, requirements = [], []
    with tempfile.TemporaryDirectory() as folder:
        try:
            stages = [
                *_llama_index(collection, size, folder),
                *_langchain(collection, size, folder),
            ]
        except (ImportError, MissingExtra) as error:
            raise Skipped(str(error)) from None
        for name, ask in stages:
            asyncio.run(_once(ask, texts[0]))
            idle, busy = [], []
            for _ in range(rounds):
                idle += asyncio.run(lateness(ask, (), span))
                busy += asyncio.run(lateness(ask, asked, 0.0))
            above = percentile(busy, 99) - percentile(idle, 99)
            rows.append((name, percentile(idle, 99), percentile(busy, 99), max(busy), above))
            requirements.append(Requirement(f"{name}: ticker's p99 in ms above idle", above, 25.0))
    return Report(
        [
            Table(
                "How late a 5 ms ticker wakes, in ms",
                ("two-stage retriever over", "idle p99", "busy p99", "busy most", "p99 above idle"),
                rows,
                f"{SEARCHES} questions at once on one event loop, {rounds} rounds; {size} "
                f"documents, runoff-mini reads {_WINDOW}.",
            )
        ],
        requirements,
    )


async def _once(ask: Ask, text: str) -> None:
    await ask(text)


def _llama_index(collection: Collection, size: int, folder: str) -> Iterator[tuple[str, Ask]]:
    import chromadb  # noqa: PLC0415 - what is not installed is skipped
    from llama_index.core import StorageContext, VectorStoreIndex  # noqa: PLC0415 - as above
    from llama_index.core.schema import TextNode  # noqa: PLC0415 - as above
    from llama_index.vector_stores.chroma import ChromaVectorStore  # noqa: PLC0415 - as above

    from runoff.llama_index import (  # noqa: PLC0415 - as above
        HybridRetriever,
        RunoffEmbedding,
        two_stage,
    )

    nodes = [TextNode(id_=one.doc_id, text=one.text) for one in collection.documents[:size]]
    model = RunoffEmbedding()
    simple = VectorStoreIndex([one.model_copy() for one in nodes], embed_model=model)
    client = chromadb.PersistentClient(folder, chromadb.Settings(anonymized_telemetry=False))
    store = ChromaVectorStore(
        chroma_collection=client.create_collection("llama", embedding_function=None)
    )
    context = StorageContext.from_defaults(vector_store=store)
    chroma = VectorStoreIndex(nodes, storage_context=context, embed_model=model)
    for name, index in (
        ("SimpleVectorStore (LlamaIndex)", simple),
        ("Chroma (LlamaIndex)", chroma),
    ):
        yield name, two_stage(index.as_retriever(), window=_WINDOW).aretrieve
    hybrid = HybridRetriever.from_defaults(index=chroma, window=_WINDOW)
    yield "BM25 and Chroma (LlamaIndex)", hybrid.aretrieve


def _langchain(collection: Collection, size: int, folder: str) -> Iterator[tuple[str, Ask]]:
    import chromadb  # noqa: PLC0415 - as above
    from langchain_chroma import Chroma  # noqa: PLC0415 - as above
    from langchain_core.documents import Document  # noqa: PLC0415 - as above
    from langchain_core.vectorstores import InMemoryVectorStore  # noqa: PLC0415 - as above

    from runoff.langchain import (  # noqa: PLC0415 - as above
        HybridRetriever,
        RunoffEmbeddings,
        two_stage,
    )

    client = chromadb.PersistentClient(folder, chromadb.Settings(anonymized_telemetry=False))
    made = [Document(id=one.doc_id, page_content=one.text) for one in collection.documents[:size]]
    stores = {
        "InMemoryVectorStore (LangChain)": InMemoryVectorStore(RunoffEmbeddings()),
        "Chroma (LangChain)": Chroma("chain", RunoffEmbeddings(), client=client),
    }
    for name, store in stores.items():
        store.add_documents(made)
        yield name, two_stage(store, window=_WINDOW).ainvoke
    hybrid = HybridRetriever.from_vectorstore(stores["Chroma (LangChain)"], window=_WINDOW)
    yield "BM25 and Chroma (LangChain)", hybrid.ainvoke
