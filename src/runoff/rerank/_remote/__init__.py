"""Rerankers behind HTTP: requests, retries, keys and dialects."""
