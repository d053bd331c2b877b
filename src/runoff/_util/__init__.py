"""Helpers for every room: arguments, texts, messages, lazy imports, locks, and kinds of errors."""
