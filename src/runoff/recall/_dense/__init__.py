"""Dense: exact search over embeddings, and a local embedding model."""
