"""From a query and a document to what a torch model reads, cut to its token limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from runoff._onnx.tokens import LONGEST_TOKEN, Encoded, TextEncoder, clean
from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from runoff.rerank._local.backends import Memo
    from runoff.rerank._local.torch_model import LoadedModel

_JOINTS = 2  # tokens by which a text may grow where it meets the template


class PlainTexts:
    """Query and document joined by special tokens; the prompt stands before the query."""

    def __init__(self, loaded: LoadedModel, prompt: str, max_length: int) -> None:
        self._prompt = prompt
        self.encoder = TextEncoder(loaded.tokenizer, max_length)

    def room(self, query: str) -> int:
        """Return how many tokens of a document are read beside a query."""
        return self.encoder.room(self.encoder.query(self._prompt + query))

    def encode(self, query: str, document: str, memo: Memo) -> Encoded:
        """Encode a pair as for ONNX Runtime: the document is cut first."""
        asked = memo.get(query)
        if asked is None:
            asked = memo[query] = self.encoder.query(self._prompt + query)
        return self.encoder.pair(asked, document)


class ChatTexts:
    """Query and document in the model's chat template; the prompt is its system message.

    The template is never cut: a causal language model answers at its end. As everywhere the
    document is cut first, and the query only where it takes more than half of the room.

    Raises:
        InvalidArgument: the template alone has more tokens than `max_length`, or does not hold a
            query and a document.
    """

    def __init__(self, loaded: LoadedModel, prompt: str, max_length: int) -> None:
        self._loaded = loaded
        self._prompt = prompt
        self._limit = max_length
        self.encoder = TextEncoder(loaded.tokenizer, max_length)
        frame = self._render("", "")
        if self._render("query", "document") == frame:
            remedy = "its chat template leaves out the query and the document"
            raise InvalidArgument("model", loaded.name, remedy)
        self._frame = len(frame)
        if self._frame + 2 > max_length:
            remedy = f"must be {self._frame + 2} or more: the chat template takes {self._frame}"
            raise InvalidArgument("max_length", max_length, remedy)

    def room(self, query: str) -> int:
        """Return how many tokens of a document are read beside a query, about."""
        room = self._limit - self._frame
        asked = len(self._ends(clean(query[: LONGEST_TOKEN * self._limit]))) - 1
        return max(1, room - min(asked, room // 2) - _JOINTS)

    def encode(self, query: str, document: str, memo: Memo) -> Encoded:  # noqa: ARG002 - nothing to remember
        """Render a pair and encode it, cutting texts until it fits."""
        bound = LONGEST_TOKEN * self._limit
        asked, read = clean(query[:bound]), clean(document[:bound])
        query_cut, cut = len(query) > bound, len(document) > bound
        ids = self._render(asked, read)
        if len(ids) > self._limit:
            ids, kept, left = self._fit(asked, read)
            query_cut, cut = query_cut or kept < len(asked), cut or left < len(read)
        made = np.array([ids], np.int64)
        return Encoded(made, np.zeros_like(made), cut, query_cut)

    def _fit(self, query: str, document: str) -> tuple[list[int], int, int]:
        """Return the ids, and how many characters of query and document they hold."""
        asked, read = self._ends(query), self._ends(document)
        room = self._limit - self._frame
        while True:
            kept = min(len(asked) - 1, max(room // 2, room - (len(read) - 1)))
            left = min(len(read) - 1, room - kept)
            ids = self._render(query[: asked[kept]], document[: read[left]])
            if len(ids) <= self._limit:
                return ids, asked[kept], read[left]
            room = max(0, room - (len(ids) - self._limit))  # tokens join others than when alone

    def _ends(self, text: str) -> list[int]:
        """Return where in a text its first 0, 1, 2, ... tokens end."""
        encoding = self._loaded.tokenizer.encode(text, add_special_tokens=False)
        return [0, *(end for _, end in encoding.offsets)]

    def _render(self, query: str, document: str) -> list[int]:
        return self._loaded.render(query, document, self._prompt)
