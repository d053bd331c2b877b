"""Searches recorded whole, in memory or as Parquet, and replayed with other settings."""
