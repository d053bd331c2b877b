"""LangChain's document compressors and cross-encoders as rerankers.

Once `runoff.langchain` is imported, every runoff pipeline takes them as `reranker=`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeGuard

import numpy as np
from langchain_core.documents import BaseDocumentCompressor
from langchain_core.documents import Document as LangChainDocument
from langchain_core.runnables.config import ensure_config

from runoff._util import provenance
from runoff._util.messages import number_of
from runoff._util.numbers import as_array
from runoff._waiting import workers
from runoff._waiting.drive import ask, run, run_async
from runoff.errors import BadReply
from runoff.langchain._convert import RELEVANCE, plain, relevance
from runoff.langchain._runoff_rerank import RunoffRerank
from runoff.pipeline._second_stage import model_name
from runoff.rerank._as_reranker import register_converter
from runoff.rerank._foreign import read_as, read_by
from runoff.rerank._pairs import check_queries
from runoff.rerank._pointwise import Pointwise
from runoff.scores import ModelIdentity, PairScores, ScoreKind, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff._waiting.drive import Asking
    from runoff.deadline import Deadline
    from runoff.protocols import Reranker
    from runoff.types import Candidate, Query, Reranking

# how compressors name the number of documents they return
_LIMITS = ("top_n", "top_k", "k")


class _ScoresPairs(Protocol):
    def score(self, text_pairs: list[tuple[str, str]]) -> Sequence[float]: ...


def _is_cross_encoder(part: object) -> TypeGuard[_ScoresPairs]:
    """Whether a part derives from LangChain's `BaseCrossEncoder`.

    That class has moved between LangChain's packages, so it is recognised by its name.
    """
    return any(
        kind.__name__ == "BaseCrossEncoder" and kind.__module__.startswith("langchain")
        for kind in type(part).__mro__
    )


def second_stage(part: object) -> Reranker:
    """Return a LangChain document compressor or cross-encoder as a reranker."""
    if _is_cross_encoder(part):
        return Pointwise(CrossEncoderScorer(part))
    if not isinstance(part, BaseDocumentCompressor):
        msg = f"expected a document compressor or a cross-encoder, got {type(part).__name__}"
        raise TypeError(msg)
    return part.stage if isinstance(part, RunoffRerank) else CompressorReranker(part)


def register() -> None:
    """Let `as_reranker` convert LangChain's document compressors and cross-encoders."""
    register_converter(
        "a LangChain document compressor",
        lambda part: isinstance(part, BaseDocumentCompressor),
        second_stage,
    )
    register_converter("a LangChain cross-encoder", _is_cross_encoder, second_stage)


@dataclass(frozen=True, slots=True)
class CrossEncoderScorer:
    """A LangChain cross-encoder as a pair scorer.

    Attributes:
        model: an object of a class that derives from LangChain's `BaseCrossEncoder`.
    """

    model: _ScoresPairs

    @property
    def name(self) -> str:
        """The model's name if it has one, else its class."""
        return model_name(self.model)

    def score(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline | None = None
    ) -> PairScores:
        """Score all pairs in one call; see `PairScorer.score`.

        Raises:
            BadReply: the model returned more or fewer scores than there are pairs, or no numbers.
        """
        if deadline is not None:
            deadline.check(self.name)
        raw = self.model.score(list(pairs))
        try:
            values = as_array(raw).astype(np.float32).reshape(-1)
        except (TypeError, ValueError) as error:
            raise BadReply(f"{self.name} returned scores that are not numbers") from error
        if len(values) != len(pairs):
            raise BadReply(
                f"{self.name} returned {number_of(len(values), 'score')} for "
                f"{number_of(len(pairs), 'pair')}"
            )
        return PairScores(
            values,
            np.isfinite(values),
            np.zeros(len(values), dtype=np.bool_),
            ScoreKind.UNKNOWN,
            ModelIdentity(self.name),
            Usage(pairs=len(values)),
        )


@dataclass(frozen=True, slots=True)
class CompressorReranker:
    """A LangChain document compressor as a reranker.

    It gets copies without runoff's metadata. Its order is kept. Its `relevance_score`s are the
    rerank scores if every document it keeps has one and they fall with its order; otherwise the
    rerank score is 1 / rank. Its own limit (`top_n`, `top_k` or `k`), and those of compressors
    inside it, are raised on a copy to the number of candidates, since the pipeline cuts. Documents
    it leaves out all the same are dropped, with its name as the reason, and nothing that it has not
    read takes their place. A result has the text that it returned.

    Attributes:
        compressor: any `langchain_core.documents.BaseDocumentCompressor`.
    """

    compressor: BaseDocumentCompressor

    @property
    def name(self) -> str:
        return type(self.compressor).__name__

    def rerank(
        self, query: Query, candidates: Sequence[Candidate], *, deadline: Deadline | None = None
    ) -> Reranking:
        """Order the candidates; see `Reranker.rerank`.

        Raises:
            RequestRejected: the query is blank.
            BadReply: it returned a document that was not among the candidates, or cannot use what
                its language model returned.
        """
        return run(self._asking(query, candidates, deadline))

    async def arerank(
        self, query: Query, candidates: Sequence[Candidate], *, deadline: Deadline | None = None
    ) -> Reranking:
        """Order the candidates without blocking the event loop; see `rerank`."""
        own = type(self.compressor).acompress_documents
        if own is BaseDocumentCompressor.acompress_documents:
            return await workers.run_async(
                lambda: self.rerank(query, candidates, deadline=deadline), deadline, self.name
            )
        return await run_async(self._asking(query, candidates, deadline))

    def _asking(
        self, query: Query, candidates: Sequence[Candidate], deadline: Deadline | None
    ) -> Asking[Reranking]:
        if deadline is not None:
            deadline.check(self.name)
        check_queries(self.name, (query.text,))
        copies = [_copy(candidate) for candidate in candidates]
        callbacks = ensure_config().get("callbacks")
        raised = _raised(self.compressor, len(copies))
        with read_by(self.name):
            kept = yield from ask(
                lambda: raised.compress_documents(copies, query.text, callbacks=callbacks),
                lambda: raised.acompress_documents(copies, query.text, callbacks=callbacks),
            )
        given = [one.page_content for one in copies]
        back = [(one.page_content, relevance(one)) for one in kept]
        places = dict(zip(_paired(copies, kept, self.name), back, strict=True))
        made = read_as(self.name, model_name(self.compressor), candidates, given, places)
        pairs = zip(made.ordered, back, strict=True)
        return replace(made, ordered=tuple(replace(one, pair_score=own) for one, (_, own) in pairs))


def limit_of(compressor: object) -> int | None:
    """Return how many documents a compressor returns at most, by its own limits; None for all."""
    limits = [value for _, value in _limits(compressor)]
    limits += [one for part in _transformers(compressor) if (one := limit_of(part)) is not None]
    return min(limits, default=None)


def _limits(compressor: object) -> list[tuple[str, int]]:
    fields = getattr(type(compressor), "model_fields", {})
    named = [(name, getattr(compressor, name)) for name in _LIMITS if name in fields]
    return [(name, value) for name, value in named if type(value) is int]


def _transformers(compressor: object) -> list[object]:
    """Return the parts of a `DocumentCompressorPipeline`."""
    parts = getattr(compressor, "transformers", None)
    return parts if isinstance(parts, list) else []


def _raised(compressor: BaseDocumentCompressor, number: int) -> BaseDocumentCompressor:
    """Return a copy of a compressor that returns up to `number` documents."""
    changes: dict[str, object] = {
        name: number for name, value in _limits(compressor) if value < number
    }
    if parts := _transformers(compressor):
        changes["transformers"] = [
            _raised(one, number) if isinstance(one, BaseDocumentCompressor) else one
            for one in parts
        ]
    return compressor.model_copy(update=changes) if changes else compressor


def _copy(candidate: Candidate) -> LangChainDocument:
    document = candidate.document
    origin = plain(document)
    metadata = provenance.without(origin.metadata)
    metadata.pop(RELEVANCE, None)
    return origin.model_copy(update={"page_content": document.text, "metadata": metadata})


def _paired(
    copies: Sequence[LangChainDocument], kept: Sequence[LangChainDocument], name: str
) -> list[int]:
    """Return the position of the candidate that each returned document is.

    A document is recognised by identity, else by its id, its text and metadata, its text alone, its
    metadata if no other candidate has the same, or its metadata and a candidate's text that
    contains its own, in this order; among equal candidates the first unused one is taken.
    """
    by_identity = {id(copy): position for position, copy in enumerate(copies)}
    found: list[int | None] = [by_identity.get(id(document)) for document in kept]
    taken = {position for position in found if position is not None}
    for same in _ways(copies):
        for rank, position in enumerate(found):
            if position is not None:
                continue
            bare = {name: one for name, one in kept[rank].metadata.items() if name != RELEVANCE}
            document = kept[rank].model_copy(update={"metadata": bare})
            for candidate, copy in enumerate(copies):
                if candidate not in taken and same(document, copy):
                    found[rank] = candidate
                    taken.add(candidate)
                    break
    if any(position is None for position in found) or len(taken) != len(kept):
        msg = f"{name} returned a document that was not among its candidates, or one of them twice"
        raise BadReply(msg)
    return [position for position in found if position is not None]


_Same: TypeAlias = Callable[[LangChainDocument, LangChainDocument], bool]


def _ways(copies: Sequence[LangChainDocument]) -> tuple[_Same, ...]:
    """Return the ways to recognise a returned document, the surest first."""

    def is_only(metadata: dict[str, object]) -> bool:
        return sum(one.metadata == metadata for one in copies) == 1

    return (
        lambda one, copy: one.id is not None and one.id == copy.id,
        lambda one, copy: _text(one) == _text(copy) and one.metadata == copy.metadata,
        lambda one, copy: _text(one) == _text(copy),
        lambda one, copy: bool(one.metadata) and one.metadata == copy.metadata
        and is_only(copy.metadata),
        lambda one, copy: one.metadata == copy.metadata and bool(_text(one).strip())
        and _text(one) in _text(copy),
    )  # fmt: skip


def _text(document: LangChainDocument) -> str:
    return document.page_content
