"""BM25: the index, its engines, and its files."""
