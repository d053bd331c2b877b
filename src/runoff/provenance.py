"""Provenance: how a result came about, read from the metadata of a framework's object.

Frameworks carry it under the single metadata key `runoff`, as JSON in a string: vector stores such
as Chroma refuse nested values, and one key is easy to keep out of prompts.
"""

from runoff._util.provenance import decode

__all__ = ["decode"]
