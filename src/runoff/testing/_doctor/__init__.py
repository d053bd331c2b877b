"""A probe of a source, a reranker or a pipeline as it stands."""
