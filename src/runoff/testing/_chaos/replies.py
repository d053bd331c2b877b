"""The normal answers of a chaos server: scores, replies and refusals in each dialect."""

from __future__ import annotations

import json
import math
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Dialect: TypeAlias = Literal["tei", "vllm", "jina", "infinity", "cohere", "nvidia"]
JSON: TypeAlias = Any

TEI_BATCH = 32
_COHERE_DOCUMENTS = 10_000
_COHERE_UNIT = 100
_COHERE_CHUNK = 500
_COHERE_READS = 4096
_WORD = re.compile(r"\w+")
_PATHS: Mapping[str, tuple[Dialect, ...]] = {
    "/rerank": ("tei", "infinity", "vllm"),
    "/v1/rerank": ("jina", "vllm"),
    "/v2/rerank": ("cohere", "vllm"),
    "/v1/ranking": ("nvidia",),
}
_FIELDS = {"tei": "texts", "nvidia": "passages"}
_TEI_ERRORS = {400: "Empty", 422: "Validation", 424: "Backend", 429: "Overloaded", 503: "Unhealthy"}


class Refusal(Exception):
    """The server refuses to score this request.

    Args:
        status: the HTTP status.
        message: the server's message.
        kind: `"framework"` if the message comes from the web framework and not the application,
            `"length"` for a text that is too long, else empty.
    """

    def __init__(self, status: int, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Row:
    """One result of a reply; faults put values of any type in it.

    Attributes:
        index: the position of the text in the request, from 0.
        score: the score.
    """

    index: Any
    score: Any


@dataclass(frozen=True, slots=True)
class Job:
    """One request that a server of this dialect accepts.

    Attributes:
        dialect: its API.
        body: the parsed request.
        query: the query.
        texts: the texts to score, as sent.
        read: how many words of each text are read.
        rows: the right answer, best first, with ties as the real server orders them, cut to
            `top_n`.
    """

    dialect: Dialect
    body: Mapping[str, Any]
    query: str
    texts: tuple[str, ...]
    read: tuple[int, ...]
    rows: tuple[Row, ...]

    @property
    def words(self) -> int:
        """How many words are read, counting the query once for every text."""
        return len(self.texts) * len(self.query.split()) + sum(self.read)


def expected_score(query: str, text: str) -> float:
    """Return the score a chaos server gives a text: (shared + 1) / (all + 2), between 0 and 1.

    `shared` counts the distinct words, in lower case, that query and text have in common, `all`
    those of both together. If a request asks for raw scores (`raw_scores` of TEI and infinity,
    `use_activation: false` of vLLM), and always in NVIDIA's dialect, the server answers with the
    logit of this score.
    """
    asked, found = set(_words(query)), set(_words(text))
    return (len(asked & found) + 1) / (len(asked | found) + 2)


def dialect_of(path: str, body: object, chosen: Dialect | None) -> Dialect | None:
    """Return the dialect of a request, or None if no dialect has this path."""
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
    field = _FIELDS.get(dialect, "documents")
    if not isinstance(body, Mapping):
        raise Refusal(400, "invalid request: the body is not a JSON object", "framework")
    query, sent = body.get("query"), body.get(field)
    if dialect == "nvidia" and isinstance(query, Mapping):
        query = query.get("text")
    if not isinstance(query, str) or not isinstance(sent, list):
        message = f"missing field: a string `query` and a list `{field}` are needed"
        raise Refusal(422, message, "framework")
    texts = tuple(_text(dialect, field, one) for one in sent)
    _check(dialect, query, texts)
    if dialect == "cohere":
        _check_spans(body.get("relevant_spans"))
    top_n = None if dialect == "tei" else _whole(body, "top_n", least=0 if dialect == "vllm" else 1)
    read = [_read(dialect, body, query, text, token_limit) for text in texts]
    scored = [(expected_score(query, text), n) for n, text in enumerate(read)]
    if dialect == "tei":  # a reversed ascending sort, which also reverses ties
        scored = sorted(scored, key=lambda one: one[0])[::-1]
    else:
        scored.sort(key=lambda one: -one[0])
    raw = _raw(dialect, body)
    rows = [Row(n, math.log(score / (1 - score)) if raw else score) for score, n in scored]
    words = tuple(len(text.split()) for text in read)
    return Job(dialect, body, query, texts, words, tuple(rows[: top_n or None]))


def reply(job: Job, rows: tuple[Row, ...]) -> JSON:
    """Return the body of a good reply with these rows, with fields in the real server's order."""
    if job.dialect == "tei":
        return [_tei_row(job, row) for row in rows]
    if job.dialect == "cohere":
        chunks = sum(max(1, math.ceil(words / _COHERE_CHUNK)) for words in job.read)
        return {
            "results": [_cohere_row(job, row) for row in rows],
            "id": str(uuid.uuid4()),
            "meta": {
                "api_version": {"version": "2", "is_experimental": False},
                "billed_units": {"search_units": math.ceil(chunks / _COHERE_UNIT)},
            },
        }
    if job.dialect == "nvidia":
        return {"rankings": [{"index": row.index, "logit": row.score} for row in rows]}
    model = job.body.get("model", "chaos")
    results = [_row(job, row) for row in rows]
    usage = {"prompt_tokens": job.words, "total_tokens": job.words}
    if job.dialect == "vllm":
        name = f"rerank-{uuid.uuid4().hex}"
        return {"id": name, "model": model, "usage": usage, "results": results}
    if job.dialect == "jina":
        usage = {"total_tokens": job.words}
        return {"model": model, "object": "list", "usage": usage, "results": results}
    return {
        "object": "rerank",
        "results": results,
        "model": model,
        "usage": usage,
        "id": f"infinity-{uuid.uuid4()}",
        "created": int(time.time()),
    }


def reply_headers(job: Job) -> dict[str, str]:
    """Return the headers that a real server adds to a good reply; TEI's times are in ms."""
    if job.dialect in {"vllm", "infinity"}:
        return {"server": "uvicorn"}
    if job.dialect != "tei":
        return {}
    characters = sum(len(job.query) + len(text) for text in job.texts)
    return {
        "x-compute-type": "cpu",
        "x-compute-time": "3",
        "x-compute-characters": str(characters),
        "x-compute-tokens": str(job.words),
        "x-total-time": "3",
        "x-tokenization-time": "0",
        "x-queue-time": "0",
        "x-inference-time": "2",
    }


def encode(body: JSON) -> bytes:
    """Return JSON as all of these servers write it: without blanks, non-ASCII letters unescaped."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


def error_reply(
    dialect: Dialect | None, status: int, message: str, kind: str = ""
) -> tuple[bytes, dict[str, str]]:
    """Return the body and headers of an error reply in this dialect.

    TEI's web framework itself refuses a body that is too large or invalid, in plain text. Without a
    dialect, because the path is unknown, the reply is like Jina's.
    """
    if dialect == "tei" and (kind == "framework" or status == 413):  # noqa: PLR2004 - too large
        return message.encode(), {"content-type": "text/plain; charset=utf-8"}
    return encode(_error(dialect, status, message, kind)), {}


def tei_info(token_limit: int) -> JSON:
    """Return the reply to TEI's `GET /info`."""
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


def _error(dialect: Dialect | None, status: int, message: str, kind: str) -> JSON:
    if dialect == "tei":
        return {"error": message, "error_type": _TEI_ERRORS.get(status, "Backend")}
    if dialect == "cohere":
        return {"id": str(uuid.uuid4()), "message": message}
    if dialect == "jina" or dialect is None:
        return {"detail": message}
    named = "BadRequestError" if status == 400 else "Error"  # noqa: PLR2004 - HTTP's bad request
    param = "input_tokens" if kind == "length" else None
    return {"error": {"message": message, "type": named, "param": param, "code": status}}


def _text(dialect: Dialect, field: str, sent: object) -> str:
    """Return a text, which Jina also accepts inside an object, and NVIDIA only there."""
    inside = isinstance(sent, Mapping) and dialect in {"jina", "nvidia"}
    text = sent.get("text") if inside else None if dialect == "nvidia" else sent  # type: ignore[attr-defined] # a mapping
    if not isinstance(text, str):
        raise Refusal(422, f"each of `{field}` must be a string", "framework")
    return text


def _whole(body: Mapping[str, Any], name: str, *, least: int) -> int | None:
    """Return a whole number from the request; None if it is absent or null."""
    value = body.get(name)
    if value is not None and (type(value) is not int or value < least):
        raise Refusal(422, f"`{name}` must be a whole number of at least {least}")
    return value


def _raw(dialect: Dialect, body: Mapping[str, Any]) -> bool:
    if dialect == "vllm":
        return body.get("use_activation") is False
    return dialect == "nvidia" or (
        dialect in {"tei", "infinity"} and body.get("raw_scores") is True
    )


def _text_of(texts: tuple[str, ...], row: Row) -> str | None:
    index = row.index
    return texts[index] if isinstance(index, int) and 0 <= index < len(texts) else None


def _check(dialect: Dialect, query: str, texts: tuple[str, ...]) -> None:
    if dialect == "tei":
        if not texts:
            raise Refusal(400, "`texts` cannot be empty")
        if len(texts) > TEI_BATCH:
            found = f"batch size {len(texts)} > maximum allowed batch size {TEI_BATCH}"
            raise Refusal(422, found)
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


def _check_spans(asked: object) -> None:
    if isinstance(asked, Mapping):
        _whole(asked, "max_spans", least=1)
        threshold = asked.get("threshold")
        if threshold is not None and type(threshold) not in {int, float}:
            raise Refusal(422, "`threshold` must be a number")


def _read(dialect: Dialect, body: Mapping[str, Any], query: str, text: str, limit: int) -> str:
    """Return the part of a text that the model reads; each word between blanks is a token.

    Raises:
        Refusal: the text is too long, and the request does not ask this server to truncate.
    """
    if dialect == "cohere":
        return _first(text, _whole(body, "max_tokens_per_doc", least=1) or _COHERE_READS)
    if dialect == "jina":
        return text
    length = len(query.split()) + len(text.split())
    cut = _whole(body, "truncate_prompt_tokens", least=-1) if dialect == "vllm" else -1
    if dialect == "nvidia" and body.get("truncate", "NONE") == "NONE":
        cut = None
    if cut is None and length > limit:
        message = (
            f"This model's maximum context length is {limit} tokens. However, you requested "
            f"{length} tokens in the input. Please reduce the length of the input."
        )
        raise Refusal(400, message, "length")
    if dialect == "tei" and body.get("truncate") is False and length > limit:
        raise Refusal(422, f"`inputs` must have less than {limit} tokens. Given: {length}")
    kept = limit if cut is None or cut < 0 else min(cut, limit)
    return _first(text, max(0, kept - len(query.split())))


def _first(text: str, words: int) -> str:
    split = text.split()
    return text if len(split) <= words else " ".join(split[:words])


def _tei_row(job: Job, row: Row) -> JSON:
    text = {"text": _text_of(job.texts, row)} if job.body.get("return_text") is True else {}
    return {"index": row.index} | text | {"score": row.score}


def _row(job: Job, row: Row) -> JSON:
    text, score = _text_of(job.texts, row), row.score
    if job.dialect == "vllm":
        document = {"text": text, "multi_modal": None}
        return {"index": row.index, "document": document, "relevance_score": score}
    returned = job.body.get("return_documents", job.dialect == "jina") is True
    if job.dialect == "infinity":
        bare = text if returned else None
        return {"relevance_score": score, "index": row.index, "document": bare}
    line: dict[str, Any] = {"index": row.index, "relevance_score": score}
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
