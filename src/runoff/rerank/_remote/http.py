"""A rerank server as a scorer: TEI, vLLM, Jina, infinity, Cohere's API and compatible ones."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import numpy as np

from runoff._util.arguments import count, is_one_of, plain_numbers
from runoff._util.display import html_by
from runoff._util.gained import gained
from runoff._util.messages import number_of
from runoff._util.stored import path_of
from runoff._waiting import private_loop
from runoff.errors import InvalidArgument
from runoff.rerank import _amounts as amounts
from runoff.rerank._pairs import check_queries, has_text
from runoff.rerank._remote import batches, transport
from runoff.rerank._remote.about import about, is_new
from runoff.rerank._remote.access import Access, as_headers, as_key, scope_of
from runoff.rerank._remote.breaker import Circuit, breaker_of
from runoff.rerank._remote.dialects import About, Dialect, as_dialect
from runoff.rerank._remote.retries import Retries
from runoff.rerank._remote.scorer import RemoteScorer, check_policy
from runoff.scores import ModelIdentity, PairScores, ScoreKind, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from runoff.deadline import Deadline

_ENDPOINT = re.compile("/(rerank|reranking|ranking)$")  # llama.cpp has the second, NVIDIA both
_KEY_WAIT = 0.2  # seconds, a quarter of which a server has to describe itself
# batch limits that servers named when they rejected a batch, by URL and model
_learned: dict[tuple[str, str | None], int] = {}


@dataclass(frozen=True, slots=True, repr=False)
class HTTPRerank(RemoteScorer):
    """A rerank server.

    Texts are sent in batches of a size that the server takes, several at a time. Scores are matched
    by index: one that is missing, duplicated or not finite affects no other. Requests are retried
    while the deadline allows, and a server that keeps failing gets no requests for a while.
    Connections are kept and shared; TLS is verified; redirects are not followed.

    Scores are logits where the server offers them (TEI, infinity), because probabilities saturate
    at 1.0; otherwise they are what the server returns. The kind of the scores says which.

    Attributes:
        url: the server, such as `"http://localhost:8080"`; a path that ends in `/rerank`,
            `/reranking` or `/ranking` is taken as it is; any other is completed by the dialect. Its
            parameters must not be keys.
        dialect: `"tei"`, `"vllm"`, `"jina"`, `"infinity"`, `"cohere"` or `"nvidia"`, or your own
            `Dialect`.
        model: the name to ask for, where a server has several.
        instruction: what the model is told to look for; your own `Dialect` names the field.
        api_key: sent as `Authorization: Bearer`; a string, or a callable that returns one; None
            reads the dialect's environment variable, if it has one. It is never shown or pickled.
        headers: more headers for every request, such as `{"api-key": ...}`; never shown or pickled.
        activation: `"sigmoid"` asks for probabilities where there is a choice.
        batch: texts in one request, 1 or more; None asks the server, or takes the dialect's. It is
            never more than a server says it takes.
        concurrency: requests of this process that the server is sent at a time, 1 or more.
        max_length: tokens that the server reads of a pair; None asks it. What is longer is marked
            as truncated, by an estimate of 4 bytes a token. Cohere's dialect sends it along.
        timeout: seconds for one request where the deadline allows more.
        retries: how often and when a request is sent again.
        circuit: when requests stop because the server keeps failing; None never stops them.
        ca: a file of certificate authorities to trust in place of the usual ones.

    Raises:
        InvalidArgument: an argument has an invalid value.
        MissingExtra: httpx is not installed.
    """

    url: str
    _: KW_ONLY
    dialect: Literal["tei", "vllm", "jina", "infinity", "cohere", "nvidia"] | Dialect
    model: str | None = None
    api_key: Any = None
    headers: Mapping[str, str] | None = field(default=None, hash=False)
    activation: Literal["sigmoid"] | None = None
    batch: int | None = None
    concurrency: int = 16
    max_length: int | None = None
    instruction: str | None = None
    timeout: float = 30.0
    retries: Retries = field(default_factory=Retries)
    circuit: Circuit | None = field(default_factory=Circuit)
    ca: str | Path | None = None

    __setstate__ = gained("instruction")

    def __post_init__(self) -> None:
        dialect = as_dialect(self.dialect)
        transport.check_url(self.url)
        if self.model is not None and not isinstance(self.model, str):
            raise InvalidArgument("model", self.model, "must be the name of a model, or None")
        if self.model is None and dialect.model_needed:
            raise InvalidArgument(
                "model", None, f"the {dialect.name} dialect needs the name of a model"
            )
        if self.activation is not None and not is_one_of(self.activation, ("sigmoid",)):
            raise InvalidArgument("activation", self.activation, 'must be "sigmoid" or None')
        if self.instruction is not None and not dialect.instruction:
            remedy = f"the {dialect.name} dialect has no field for it: use a Dialect with one"
            raise InvalidArgument("instruction", self.instruction, remedy)
        if self.instruction is not None and not isinstance(self.instruction, str):
            raise InvalidArgument("instruction", self.instruction, "must be a string or None")
        for name in ("batch", "max_length"):
            if getattr(self, name) is not None:
                count(name, getattr(self, name))
        count("concurrency", self.concurrency)
        check_policy(self.timeout, self.retries, self.circuit)
        plain_numbers(self, "batch", "max_length", "concurrency")
        if self.ca is not None and not path_of("ca", self.ca).is_file():
            raise InvalidArgument("ca", self.ca, "must be a file of certificate authorities")
        key = as_key(self.api_key, dialect.variables)
        headers = as_headers({} if self.headers is None else self.headers)
        if key.given and any(name.lower() == "authorization" for name in headers):
            raise InvalidArgument(
                "headers", "***", "contain an Authorization, which cannot be given with api_key="
            )
        object.__setattr__(self, "api_key", key)
        object.__setattr__(self, "headers", headers)

    _repr_html_ = html_by("configured_html", "_notebook")

    def __repr__(self) -> str:
        """Show the configuration without key, headers and what follows a `?`."""
        dialect = as_dialect(self.dialect).name
        model = "" if self.model is None else f", model={self.model!r}"
        return f"HTTPRerank({self.url.partition('?')[0]!r}, dialect={dialect!r}{model})"

    @property
    def name(self) -> str:
        """The model, or the server where none was named."""
        return self.model or transport.host_of(self.url)

    @property
    def cache_key(self) -> str:
        """What its scores depend on: the server, its model as far as it says, and the arguments.

        A server that does not report the version of its model may change it unnoticed: name the
        version in `model`, or clear the cache. This waits for the server's description: at most a
        second the first time and 50 ms later.
        """
        dialect = as_dialect(self.dialect)
        first = False
        if dialect.about is not None:
            first = is_new(_base(self.url, dialect) + dialect.about[0], self.model)
            self._client()
        left = math.inf if first else _KEY_WAIT
        known = private_loop.run(lambda: self._described(left), None, self.name)
        stated = {
            "url": _endpoint(self.url.partition("?")[0], dialect),
            "dialect": (dialect.name, dialect.results, dialect.score),
            "asks": dialect.request("", (), self.model, raw=self.activation is None),
            "kind": self._kind(),
            "max_length": self.max_length if dialect.length else None,
            "serves": (known.model, known.precision),
        }
        if self.instruction is not None:
            stated["instruction"] = self.instruction
        if query := self.url.partition("?")[2]:  # it may choose a deployment; it is not shown
            stated["query"] = hashlib.sha256(query.encode("utf-8", "surrogatepass")).hexdigest()
        return json.dumps(stated)

    def estimate(self, pairs: Sequence[tuple[str, str]]) -> Usage:
        """Return what scoring these pairs should use; tokens by 4 bytes each.

        Units are counted for the dialect that bills them: one for each query and 100 documents.
        """
        dialect = as_dialect(self.dialect)
        sent = list(filter(has_text, pairs))
        limit = self.max_length or dialect.reads or math.inf
        read = sum(min(limit, amounts.pair_tokens(pair)) for pair in sent)
        units = amounts.units(sent, self.batch or dialect.batch) if dialect.billed_units else None
        return Usage(pairs=len(sent), tokens=int(read), billed_units=units)

    def warmup(self) -> None:
        """Connect, and fetch the description of the server, if any; nothing is scored or billed."""
        self._client()
        private_loop.run(lambda: self._described(math.inf), None, self.name)

    def _ca(self) -> str | None:
        return None if self.ca is None else str(self.ca)

    def _client(self) -> object:
        return transport.client(self._ca())

    def _kind(self) -> ScoreKind:
        dialect = as_dialect(self.dialect)
        raw = self.activation is None and dialect.raw is not None
        return ScoreKind.LOGIT if raw else dialect.kind

    async def _scored(self, pairs: list[tuple[str, str]], deadline: Deadline | None) -> PairScores:
        check_queries(self.name, (query for query, _ in pairs))
        load_ms = 0.0
        if not transport.ready(self._ca()):
            load_ms = await batches.load(self._client, deadline, self.name)
        left = math.inf if deadline is None else deadline.remaining()
        dialect, known = as_dialect(self.dialect), await self._described(left)
        work = await batches.score(self._way(dialect, known), pairs, deadline)
        kind, notes = self._kind(), []
        outside = np.isfinite(work.values) & ((work.values < 0) | (work.values > 1))
        if kind is ScoreKind.PROBABILITY and outside.any():
            kind = ScoreKind.UNKNOWN
            notes.append(f"{self.name} returns scores outside 0 and 1: they are not probabilities")
        truncated, limit = self._truncated(dialect, known, pairs)
        if truncated.any():
            notes.append(
                f"{self.name} reads {number_of(limit, 'token')}: {int(truncated.sum())} of "
                f"{number_of(len(pairs), 'text')} "
                "are longer by an estimate of 4 bytes a token"
            )
        if limit and any(amounts.tokens(query) > limit for query in {query for query, _ in pairs}):
            notes.append(
                f"{self.name} reads {number_of(limit, 'token')}: the query alone is longer"
            )
        identity = ModelIdentity(self.name, known.model, known.precision)
        return batches.pair_scores(
            work, kind=kind, model=identity, truncated=truncated, load_ms=load_ms, notes=notes
        )

    def _way(self, dialect: Dialect, known: About) -> batches.Way:
        where = _endpoint(self.url, dialect)
        limits = (self.batch, known.batch, _learned.get((where, self.model)))
        scope = scope_of(self.model, self.api_key, as_headers(self.headers))
        return batches.Way(
            self.name,
            partial(self._ask, dialect, where),
            self.retries,
            breaker_of(where, self.circuit, self.name, scope),
            self.timeout,
            min((one for one in limits if one is not None), default=dialect.batch),
            batches.gate_of(where, self.concurrency),
            dialect.limit_in,
            partial(_learned.__setitem__, (where, self.model)),
        )

    async def _ask(
        self, dialect: Dialect, where: str, query: str, texts: Sequence[str]
    ) -> batches.Reply:
        body = dialect.request(query, texts, self.model, raw=self.activation is None)
        if self.instruction is not None:
            body[dialect.instruction] = self.instruction
        if dialect.length and self.max_length is not None:
            body[dialect.length] = self.max_length
        said = await transport.post(where, body, access=self._access(), who=self.name)
        return batches.read(dialect, said, self.name)

    def _access(self) -> Access:
        return Access(self.api_key, as_headers(self.headers), self._ca())

    def _truncated(
        self, dialect: Dialect, known: About, pairs: Sequence[tuple[str, str]]
    ) -> tuple[NDArray[np.bool_], int]:
        """Estimate which texts the server cannot read whole, and return how much it reads."""
        limit = self.max_length or known.max_length or dialect.reads or 0
        if not limit:
            return np.zeros(len(pairs), np.bool_), 0
        if dialect.length:  # the limit is the text's alone, not the pair's
            sizes = [amounts.tokens(text) for _, text in pairs]
        else:
            sizes = [amounts.pair_tokens(pair) for pair in pairs]
        return np.array(sizes) > limit, limit

    async def _described(self, left: float) -> About:
        dialect = as_dialect(self.dialect)
        if dialect.about is None:
            return About()
        path, read = dialect.about
        where = _base(self.url, dialect) + path
        return await about(where, self.model, read, self._access(), self.name, left)


def _endpoint(url: str, dialect: Dialect) -> str:
    address, mark, query = url.partition("?")
    whole = address.rstrip("/")
    if not _ENDPOINT.search(urlsplit(whole).path):  # a host may be called so as well
        version = dialect.path.rpartition("/")[0]  # which many write as part of a base URL
        whole = (whole.removesuffix(version) if version else whole) + dialect.path
    return whole + mark + query


def _base(url: str, dialect: Dialect) -> str:
    """Return the server's URL without version and path of its rerank endpoint."""
    return re.sub(rf"(/v\d)?{_ENDPOINT.pattern}", "", _endpoint(url.partition("?")[0], dialect))
