"""The request and reply formats of rerank servers, one row for each.

All of them take a query and a list of texts and return pairs of index and score. They differ in
names, limits, and in what they do with a text that is too long. Another vendor is another row.
"""

from __future__ import annotations

import math
import re
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

from runoff._util.arguments import plain_numbers
from runoff._util.gained import gained
from runoff._util.messages import visible
from runoff.errors import BadReply, InvalidArgument
from runoff.rerank._remote.fields import check_fields
from runoff.scores import Passage, ScoreKind, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Path: TypeAlias = tuple[str, ...]

_SHOWN = 200  # characters of a server's message that are repeated
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Item:
    """One result of a reply.

    Attributes:
        index: which of the texts that were sent, from 0.
        score: as the server returns it; it may not be finite.
        passages: the parts of the text that the score came from, by the server.
    """

    index: int
    score: float
    passages: tuple[Passage, ...] = ()


@dataclass(frozen=True, slots=True)
class About:
    """What a server says about itself.

    Attributes:
        model: the model it serves, with its revision; empty when it does not say.
        precision: of that model's weights; empty when it does not say.
        batch: texts it takes in one request; None when it does not say.
        max_length: tokens it reads of a pair; None when it does not say.
    """

    model: str = ""
    precision: str = ""
    batch: int | None = None
    max_length: int | None = None


@dataclass(frozen=True, slots=True)
class Dialect:
    """The request and reply format of one kind of rerank server.

    That of a server which takes its texts as objects and returns logits:

    ```python
    Dialect("mine", path="/v1/score", documents="passages", wrapped="text",
            results=("scores",), score="logit", kind=ScoreKind.LOGIT)
    ```

    Attributes:
        name: such as `"tei"`.
        path: of the endpoint, below the server's URL.
        query: the name of the query in a request.
        documents: the name of the list of texts.
        wrapped: the key of the object that holds each text, and the query; empty where they are
            plain strings.
        instruction: the field for what the model is told to look for; empty for none.
        fixed: further fields of every request, such as one that asks to cut long texts.
        top_n: the field that must hold the number of texts for all to come back; empty for none.
        results: where the list is in a reply; empty when the reply is the list.
        score: the name of a score in it.
        kind: the scale of the scores.
        raw: fields that ask for logits, which do not saturate at 1.0; None where there are none.
        batch: texts to send in one request unless the server or the user says otherwise.
        model_needed: whether a request must name a model.
        length: the field for a limit of tokens per text; empty for none.
        reads: tokens read of a text by default; None when it depends on the model.
        tokens: where a reply counts the tokens read.
        billed_units: where a reply counts what is billed.
        about: the path of the server's description, and a function that parses it for a model,
            which may be None; None where there is no description.
        too_many: a pattern for its error about too large a batch, with the limit as the group.
        variables: environment variables that hold the key.
    """

    name: str
    _: KW_ONLY
    path: str
    query: str = "query"
    documents: str = "documents"
    wrapped: str = ""
    instruction: str = ""
    fixed: Mapping[str, Any] = field(default_factory=dict, hash=False)
    top_n: str = ""
    results: Path = ("results",)
    score: str = "relevance_score"
    kind: ScoreKind = ScoreKind.PROBABILITY
    raw: Mapping[str, Any] | None = field(default=None, hash=False)
    batch: int = 100
    model_needed: bool = False
    length: str = ""
    reads: int | None = None
    tokens: Path = ()
    billed_units: Path = ()
    about: tuple[str, Callable[[Any, str | None], About]] | None = None
    too_many: str = ""
    variables: tuple[str, ...] = ()

    __setstate__ = gained("wrapped", "instruction")

    def __post_init__(self) -> None:
        check_fields(self)
        plain_numbers(self, "batch", "reads")

    def request(
        self, query: str, texts: Sequence[str], model: str | None, *, raw: bool
    ) -> dict[str, Any]:
        """Return the body of a request.

        Lone surrogates become U+FFFD: over one of them infinity fails with 500, for all texts.
        """
        query, *texts = (
            _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", one) for one in (query, *texts)
        )
        asked: list[Any] = [query, *texts]
        if self.wrapped:
            asked = [{self.wrapped: one} for one in asked]
        body: dict[str, Any] = {self.query: asked[0], self.documents: asked[1:], **self.fixed}
        if model is not None:
            body["model"] = model
        if self.top_n:
            body[self.top_n] = len(texts)
        if raw and self.raw is not None:
            body.update(self.raw)
        return body

    def read(self, reply: object) -> list[Item]:
        """Return the items of a reply, in its order.

        Raises:
            BadReply: it does not have the form of this dialect; says what was expected where.
        """
        where = ".".join(self.results) or "the reply"
        found = _at(reply, self.results)
        if not isinstance(found, list):
            msg = f"expected a list of results as {where} ({self.name} dialect), not {_what(found)}"
            raise BadReply(msg)
        items = []
        for one in found:
            known = one if isinstance(one, dict) else {}
            index, score = known.get("index"), known.get(self.score)
            if not _is_whole(index):
                msg = f"a result has {_what(index)} as index, not a number ({self.name} dialect)"
                raise BadReply(msg)
            if score is None and self.score in known:
                score = math.nan  # how strict JSON writes it
            if not _is_number(score):
                expected = f"{self.score}, not a number ({self.name} dialect)"
                raise BadReply(f"a result has {_what(score)} as {expected}")
            items.append(Item(index, _as_float(score), _spans(known.get("relevant_spans"))))
        return items

    def usage(self, reply: object) -> Usage:
        """Return the tokens and billed units that a reply counts."""
        tokens = _at(reply, self.tokens) if self.tokens else None
        units = _at(reply, self.billed_units) if self.billed_units else None
        return Usage(
            tokens=tokens if _is_whole(tokens) and tokens >= 0 else None,
            billed_units=_as_float(units) if _is_amount(units) else None,
        )

    def limit_in(self, message: str) -> int | None:
        """Return the batch limit that an error message names, or None."""
        found = re.search(self.too_many, message) if self.too_many else None
        return max(1, int(found.group(1))) if found else None

    @staticmethod
    def message(reply: object, hide: Callable[[str], str] = str) -> str:
        """Return the message of an error body of any server, shortened.

        Args:
            reply: the body.
            hide: masks secrets, before the text is shortened.
        """
        said = reply
        for _ in range(4):
            if not isinstance(said, dict):
                break
            names = ("message", "error", "detail", "error_message", "description", "msg")
            said = next((said[name] for name in names if said.get(name)), None)
        if isinstance(said, list):
            said = "; ".join(filter(None, map(_complaint, said)))
        text = " ".join(visible(hide(said)).split()) if isinstance(said, str) else ""
        return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _complaint(one: object) -> str:
    """Return FastAPI's message about one field, without its `input`, which repeats the texts."""
    known = one if isinstance(one, dict) else {}
    place, said = known.get("loc"), known.get("msg")
    where = ".".join(map(str, place[1:])) if isinstance(place, list) else ""
    return ": ".join(filter(None, (where, said))) if isinstance(said, str) else ""


def _at(reply: object, path: Path) -> object:
    for name in path:
        reply = reply.get(name) if isinstance(reply, dict) else None
    return reply


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_amount(value: object) -> TypeGuard[int | float]:
    return _is_number(value) and 0 <= value < math.inf


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # JSON's whole numbers have no bound
        return math.inf


def _what(value: object) -> str:
    return "nothing" if value is None else type(value).__name__


def _spans(spans: object) -> tuple[Passage, ...]:
    found = [
        Passage(one["start"], one["end"], _as_float(one["score"]))
        for one in (spans if isinstance(spans, list) else ())
        if isinstance(one, dict)
        and _is_whole(one.get("start"))
        and _is_whole(one.get("end"))
        and _is_number(one.get("score"))
        and 0 <= one["start"] < one["end"]
    ]
    return tuple(sorted(found, key=lambda one: -one.score))


def _about_tei(said: Any, _: str | None) -> About:  # noqa: ANN401 - JSON
    model = _joined(_at(said, ("model_id",)), _at(said, ("model_sha",)))
    dtype = _at(said, ("model_dtype",))
    return About(
        model,
        dtype if isinstance(dtype, str) else "",
        _positive(_at(said, ("max_client_batch_size",))),
        _positive(_at(said, ("max_input_length",))),
    )


def _about_openai(said: Any, model: str | None) -> About:  # noqa: ANN401 - JSON
    """Read the list of models that vLLM and infinity give; a single one needs no name."""
    models = _at(said, ("data",))
    listed = models if isinstance(models, list) else []
    found = listed if len(listed) == 1 else [one for one in listed if _at(one, ("id",)) == model]
    if not found:
        return About()
    served, length = _at(found[0], ("id",)), _at(found[0], ("max_model_len",))
    return About(_joined(served, None), max_length=_positive(length))


def _joined(model: object, revision: object) -> str:
    return "@".join(one for one in (model, revision) if isinstance(one, str) and one)


def _positive(value: object) -> int | None:
    return value if _is_whole(value) and value > 0 else None


DIALECTS: Mapping[str, Dialect] = {
    one.name: one
    for one in (
        # huggingface/text-embeddings-inference: router/src/http
        Dialect(
            "tei",
            path="/rerank",
            documents="texts",
            fixed={"truncate": True},
            results=(),
            score="score",
            raw={"raw_scores": True},
            batch=32,
            about=("/info", _about_tei),
            too_many=r"maximum allowed batch size (\d+)",
        ),
        # vllm-project/vllm: entrypoints/pooling/score; -1 cuts at what the model reads
        Dialect(
            "vllm",
            path="/v1/rerank",
            fixed={"truncate_prompt_tokens": -1},
            tokens=("usage", "total_tokens"),
            about=("/v1/models", _about_openai),
        ),
        # api.jina.ai, and llama.cpp's server after it
        Dialect(
            "jina",
            path="/v1/rerank",
            fixed={"return_documents": False},
            top_n="top_n",
            tokens=("usage", "total_tokens"),
            model_needed=True,
            variables=("JINA_API_KEY",),
        ),
        # michaelfeil/infinity: infinity_server.py; what it counts as tokens are characters, unless
        # it was started otherwise, and it does not say
        Dialect(
            "infinity",
            path="/rerank",
            fixed={"return_documents": False},
            raw={"raw_scores": True},
            about=("/models", _about_openai),
            too_many=r"at most (\d+) items",
        ),
        # docs.cohere.com/reference/rerank; also what many gateways imitate
        Dialect(
            "cohere",
            path="/v2/rerank",
            batch=1000,
            model_needed=True,
            length="max_tokens_per_doc",
            reads=4096,
            tokens=("meta", "tokens", "input_tokens"),
            billed_units=("meta", "billed_units", "search_units"),
            variables=("CO_API_KEY", "COHERE_API_KEY"),
        ),
        # docs.nvidia.com/nim/nemo-retriever/text-reranking; the hosted service has a URL a model
        Dialect(
            "nvidia",
            path="/v1/ranking",
            documents="passages",
            wrapped="text",
            fixed={"truncate": "END"},
            results=("rankings",),
            score="logit",
            kind=ScoreKind.LOGIT,
            model_needed=True,
            about=("/v1/models", _about_openai),
            variables=("NVIDIA_API_KEY",),
        ),
    )
}


def as_dialect(dialect: object) -> Dialect:
    """Return a dialect by its name, or the one that was given.

    Raises:
        InvalidArgument: there is no dialect of that name; lists all names.
    """
    if isinstance(dialect, Dialect):
        return dialect
    if isinstance(dialect, str) and dialect in DIALECTS:
        return DIALECTS[dialect]
    names = ", ".join(f'"{name}"' for name in DIALECTS)
    raise InvalidArgument("dialect", dialect, f"must be one of {names}, or a Dialect")
