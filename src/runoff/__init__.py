"""Two-stage retrieval for LlamaIndex and LangChain.

Recall wide, rerank sharp, and know whether it helped.
"""
