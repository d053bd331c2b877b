"""Writes the table of docs/integrations/stores.md from what the tests have found."""

import importlib.metadata
from datetime import UTC, datetime
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "integrations" / "stores.md"
COLUMNS = ("widen", "score", "filter", "list", "add", "delete", "async")
START, END = "<!-- make test-stores writes from here -->", "<!-- to here -->"
PACKAGES = {
    "LangChain": {
        "memory": "langchain-core", "chroma": "langchain-chroma", "qdrant": "langchain-qdrant",
        "faiss": "langchain-community", "pgvector": "langchain-postgres",
        "pgvectorstore": "langchain-postgres", "milvus": "langchain-milvus",
        "lancedb": "langchain-community", "duckdb": "langchain-community",
        "sqlitevec": "langchain-community",
    },
    "LlamaIndex": {
        "simple": "llama-index-core",
        **{
            name: f"llama-index-vector-stores-{name}"
            for name in (
                "chroma", "qdrant", "faiss", "postgres", "milvus", "lancedb", "duckdb",
            )
        },
    },
}  # fmt: skip
NAMES = {
    "memory": "InMemoryVectorStore", "chroma": "Chroma", "qdrant": "Qdrant", "faiss": "FAISS",
    "pgvector": "PGVector", "pgvectorstore": "PGVectorStore", "milvus": "Milvus",
    "lancedb": "LanceDB", "duckdb": "DuckDB", "sqlitevec": "SQLiteVec",
    "simple": "SimpleVectorStore", "postgres": "PGVectorStore",
}  # fmt: skip


def write(found):
    """Replace the tables of the page.

    Args:
        found: framework to store to column to verdict.
    """
    parts = [f"As of {datetime.now(UTC):%Y-%m-%d}, written by `make test-stores`.", ""]
    for framework, stores in found.items():
        parts += [
            f"### {framework}", "",
            f"| Store | Package | {' | '.join(COLUMNS)} |",
            f"|---|---|{'---|' * len(COLUMNS)}",
        ]  # fmt: skip
        for store in (one for one in PACKAGES[framework] if one in stores):
            package = PACKAGES[framework][store]
            version = importlib.metadata.version(package)
            cells = [stores[store].get(column, "") for column in COLUMNS]
            parts.append(f"| {NAMES[store]} | {package} {version} | {' | '.join(cells)} |")
        parts.append("")
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.partition(START)[0], text.partition(END)[2]
    made = "\n".join([f"{before}{START}", "", *parts, f"{END}{after}"])
    PAGE.write_text(made, encoding="utf-8")


def write_whole(found):
    """Write the page if every store that runs here has a verdict in every column."""
    import shelf

    whole = {"LangChain": shelf.LANGCHAIN, "LlamaIndex": shelf.LLAMA_INDEX}
    if all(
        set(found.get(framework, {}).get(store, {})) >= set(COLUMNS)
        for framework, stores in whole.items()
        for store in stores
    ):
        write(found)
