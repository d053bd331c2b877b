"""LangChain's `BaseCrossEncoder`, wherever this version of its packages keeps it."""

try:
    from langchain_core.cross_encoders import BaseCrossEncoder
except ModuleNotFoundError:  # it came to langchain-core late
    try:
        from langchain_classic.retrievers.document_compressors.cross_encoder import BaseCrossEncoder
    except ModuleNotFoundError:

        class BaseCrossEncoder:
            """Stands for LangChain's own, which is known by its name and its package."""

            __module__ = "langchain_classic.retrievers.document_compressors.cross_encoder"


__all__ = ["BaseCrossEncoder"]
