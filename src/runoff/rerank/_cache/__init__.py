"""The cache of pair scores, in memory and on disk."""
