"""What a chaos server answers when nothing is wrong: scores, replies and refusals by dialect."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

__all__ = [
    "TEI_BATCH",
    "Dialect",
    "Job",
    "Refusal",
    "Row",
    "dialect_of",
    "error_body",
    "expected_score",
    "read_job",
    "reply",
    "tei_info",
]

Dialect: TypeAlias = Literal["tei", "vllm", "jina", "infinity", "cohere"]
JSON: TypeAlias = Any

TEI_BATCH = 32
_COHERE_DOCUMENTS = 10_000
_COHERE_UNIT = 100
_WORD = re.compile(r"\w+")
_PATHS: Mapping[str, tuple[Dialect, ...]] = {
    "/rerank": ("tei", "infinity", "vllm"),
    "/v1/rerank": ("jina", "vllm"),
    "/v2/rerank": ("cohere", "vllm"),
}
_TEI_ERRORS = {422: "Validation", 424: "Backend", 429: "Overloaded", 503: "Unhealthy"}


class Refusal(Exception):
    """The server will not score this request.

    Args:
        status: the HTTP status.
        message: what the server says.
        kind: TEI's `error_type`, where the status does not tell it.
    """

    def __init__(self, status: int, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a reply; faults put values of any type in it.

    Attributes:
        index: the place of the text in the request, from 0.
        score: the score.
    """

    index: Any
    score: Any


@dataclass(frozen=True, slots=True)
class Job:
    """One request that a server of this dialect accepts.

    Attributes:
        dialect: which API it is.
        body: the request as parsed.
        query: what is asked.
        texts: what is scored, as sent.
        rows: the right answer, best first, ties as the real server leaves them, cut to `top_n`.
        words: how many words were read.
    """

    dialect: Dialect
    body: Mapping[str, Any]
    query: str
    texts: tuple[str, ...]
    rows: tuple[Row, ...]
    words: int


def expected_score(query: str, text: str) -> float:
    """Return the score a chaos server gives a text: (shared + 1) / (all + 2), between 0 and 1.

    `shared` counts the different words, in lower case, that query and text have in common, `all`
    those that either has. Where raw scores are asked for (`raw_scores` of TEI and infinity,
    `use_activation: false` of vLLM), the server answers with the logit of it.
    """
    asked, found = set(_words(query)), set(_words(text))
    return (len(asked & found) + 1) / (len(asked | found) + 2)


def dialect_of(path: str, body: object, chosen: Dialect | None) -> Dialect | None:
    """Return the dialect of a request, or None where no dialect has such a path."""
    spoken = _PATHS.get(path)
    if spoken is None:
        return None
    if chosen in spoken:
        return chosen
    if path == "/rerank" and isinstance(body, Mapping) and "documents" in body:
        return "infinity"
    return spoken[0]


def read_job(dialect: Dialect, body: object, *, token_limit: int) -> Job:
    """Check a request as the real server would, and score it.

    Raises:
        Refusal: with the status and the message of the real server.
    """
    field = "texts" if dialect == "tei" else "documents"
    if not isinstance(body, Mapping):
        raise Refusal(400, "invalid request: the body is no JSON object")
    query, sent = body.get("query"), body.get(field)
    if not isinstance(query, str) or not isinstance(sent, list):
        raise Refusal(422, f"missing field: a string `query` and a list `{field}` are needed")
    texts = tuple(one["text"] if isinstance(one, Mapping) else one for one in sent)
    if not all(isinstance(text, str) for text in texts):
        raise Refusal(422, f"every one of `{field}` must be a string")
    _check(dialect, query, texts)
    read = [_read(dialect, body, query, text, token_limit) for text in texts]
    scored = [(expected_score(query, text), n) for n, text in enumerate(read)]
    if dialect == "tei":  # an ascending stable sort, turned round: equal scores change places
        scored = sorted(scored, key=lambda one: one[0])[::-1]
    else:
        scored.sort(key=lambda one: -one[0])
    top_n = body.get("top_n") or len(scored)
    raw = body.get("raw_scores") is True or body.get("use_activation") is False
    rows = [Row(n, math.log(score / (1 - score)) if raw else score) for score, n in scored]
    words = sum(len(query.split()) + len(text.split()) for text in read)
    return Job(dialect, body, query, texts, tuple(rows[:top_n]), words)


def reply(job: Job, rows: tuple[Row, ...]) -> JSON:
    """Return the body of a good reply with these rows."""
    if job.dialect == "tei":
        texts = job.texts if job.body.get("return_text") is True else None
        return [
            {"index": row.index, "score": row.score}
            | ({"text": _text_of(texts, row)} if texts is not None else {})
            for row in rows
        ]
    usage = {"prompt_tokens": job.words, "total_tokens": job.words}
    common = {"id": "rerank-chaos", "model": job.body.get("model", "chaos")}
    if job.dialect == "cohere":
        meta = {
            "api_version": {"version": "2", "is_experimental": False},
            "billed_units": {"search_units": math.ceil(len(job.texts) / _COHERE_UNIT)},
        }
        return {"id": common["id"], "results": [_cohere_row(job, row) for row in rows]} | {
            "meta": meta
        }
    results = [_row(job, row) for row in rows]
    if job.dialect == "vllm":
        return common | {"usage": usage, "results": results}
    if job.dialect == "jina":
        usage = {"total_tokens": job.words}
        return {"model": common["model"], "object": "list", "usage": usage, "results": results}
    return common | {
        "object": "rerank",
        "results": results,
        "usage": usage,
        "created": 1_700_000_000,
    }


def error_body(dialect: Dialect, status: int, message: str, kind: str = "") -> JSON:
    """Return the body with which a server of this dialect says that something is wrong."""
    if dialect == "tei":
        return {"error": message, "error_type": kind or _TEI_ERRORS.get(status, "Backend")}
    if dialect == "cohere":
        return {"id": "chaos", "message": message}
    if dialect == "jina":
        return {"detail": message}
    named = "BadRequestError" if status == 400 else "Error"  # noqa: PLR2004 - HTTP's bad request
    param = "input_tokens" if kind == "length" else None
    return {"error": {"message": message, "type": named, "param": param, "code": status}}


def tei_info(token_limit: int) -> JSON:
    """Return what TEI's `GET /info` says."""
    return {
        "model_id": "chaos",
        "model_sha": None,
        "model_dtype": "float32",
        "served_model_name": "chaos",
        "model_type": {"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}},
        "max_concurrent_requests": 512,
        "max_input_length": token_limit,
        "max_batch_tokens": 16384,
        "max_batch_requests": None,
        "max_client_batch_size": TEI_BATCH,
        "auto_truncate": True,
        "tokenization_workers": 2,
        "version": "1.9.0",
        "sha": None,
        "docker_label": None,
    }


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _text_of(texts: tuple[str, ...], row: Row) -> str | None:
    index = row.index
    return texts[index] if isinstance(index, int) and 0 <= index < len(texts) else None


def _check(dialect: Dialect, query: str, texts: tuple[str, ...]) -> None:
    if dialect == "tei":
        if not texts:
            raise Refusal(400, "`texts` cannot be empty", "Empty")
        if len(texts) > TEI_BATCH:
            found = f"batch size {len(texts)} > maximum allowed batch size {TEI_BATCH}"
            raise Refusal(422, found, "Validation")
    if dialect == "cohere":
        if not texts:
            raise Refusal(400, "invalid request: list of documents must not be empty")
        if len(texts) > _COHERE_DOCUMENTS:
            raise Refusal(400, f"invalid request: more than {_COHERE_DOCUMENTS} documents")
        if not query.strip():
            raise Refusal(400, "invalid request: query cannot be empty")
        for n, text in enumerate(texts):
            if not text.strip():
                raise Refusal(400, f"invalid request: document at index {n} cannot be empty")


def _read(dialect: Dialect, body: Mapping[str, Any], query: str, text: str, limit: int) -> str:
    """Return the part of a text that the model reads; a token is a word between blanks.

    Raises:
        Refusal: the text is too long and this server cuts nothing unless told to.
    """
    if dialect == "cohere":
        return _first(text, body.get("max_tokens_per_doc") or 4096)
    if dialect == "jina":
        return text
    length = len(query.split()) + len(text.split())
    if dialect == "vllm" and body.get("truncate_prompt_tokens") is None and length > limit:
        message = (
            f"This model's maximum context length is {limit} tokens. However, you requested "
            f"{length} tokens in the input. Please reduce the length of the input."
        )
        raise Refusal(400, message, "length")
    if dialect == "tei" and body.get("truncate") is False and length > limit:
        message = f"`inputs` must have less than {limit} tokens. Given: {length}"
        raise Refusal(422, message, "Validation")
    return _first(text, max(0, limit - len(query.split())))


def _first(text: str, words: int) -> str:
    split = text.split()
    return text if len(split) <= words else " ".join(split[:words])


def _row(job: Job, row: Row) -> JSON:
    line: dict[str, Any] = {"index": row.index, "relevance_score": row.score}
    text = _text_of(job.texts, row)
    if job.dialect == "vllm":
        return line | {"document": {"text": text, "multi_modal": None}}
    returned = job.body.get("return_documents", job.dialect == "jina")
    if job.dialect == "infinity":
        return line | {"document": text if returned else None}
    return line | ({"document": {"text": text}} if returned else {})


def _cohere_row(job: Job, row: Row) -> JSON:
    line: dict[str, Any] = {"index": row.index, "relevance_score": row.score}
    asked = job.body.get("relevant_spans")
    text = _text_of(job.texts, row)
    if not isinstance(asked, Mapping) or asked.get("mode") != "enabled" or text is None:
        return line
    words = set(_words(job.query))
    spans = [
        {"start": found.start(), "end": found.end(), "score": row.score}
        for found in _WORD.finditer(text)
        if found[0].lower() in words
    ]
    if not isinstance(row.score, float) or row.score < (asked.get("threshold") or 0):
        spans = []
    return line | {"relevant_spans": spans[: asked.get("max_spans")]}
