"""Cohere Rerank through its official SDK, or through any object with a similar `rerank`."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff._util.arguments import count, is_whole, plain_numbers
from runoff._util.display import html_by
from runoff._util.faults import reason_of
from runoff._util.messages import error_text, number_of
from runoff._waiting import workers
from runoff.errors import (
    BadReply,
    ConnectionFailed,
    DeadlineExceeded,
    InvalidArgument,
    MissingExtra,
    RunoffError,
)
from runoff.rerank import _amounts as amounts
from runoff.rerank._pairs import check_queries, has_text
from runoff.rerank._remote import batches
from runoff.rerank._remote.access import Key, Secret, Shared, as_key, masked, scope_of
from runoff.rerank._remote.breaker import Circuit, breaker_of
from runoff.rerank._remote.dialects import DIALECTS
from runoff.rerank._remote.retries import Retries
from runoff.rerank._remote.scorer import RemoteScorer, check_policy
from runoff.scores import ModelIdentity, PairScores, ScoreKind, Usage

try:
    from runoff.rerank._remote import cohere_sdk as sdk
    from runoff.rerank._remote import transport
except MissingExtra as error:  # httpx, which comes with cohere
    raise MissingExtra(error.package, "cohere") from error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff.deadline import Deadline

_DIALECT = DIALECTS["cohere"]
_PRODUCTION = "https://api.cohere.com"


@dataclass(frozen=True, slots=True, repr=False)
class CohereRerank(Shared, RemoteScorer):
    """Cohere Rerank.

    The SDK's own retries, which sleep for up to a minute, and its timeout of five minutes are off;
    those here keep the deadline. More documents than `batch` are sent in several requests. Billed
    units are read from the reply, never guessed.

    Attributes:
        model: such as `"rerank-v4.0-fast"`, or the name that your deployment has.
        client: an object with a method `rerank(model=, query=, documents=)`, synchronous or not:
            Cohere's clients for Bedrock, SageMaker or Azure, or one of your own; None makes
            Cohere's. It contains a key, so it cannot be pickled.
        api_key: a string, or a callable that returns one; None reads `CO_API_KEY`, then
            `COHERE_API_KEY`. It is never shown or pickled.
        base_url: where a private deployment is; None reads `CO_API_URL`, and is Cohere without it.
        max_tokens_per_doc: tokens read of each document, 1 or more; None leaves it to Cohere,
            which reads 4,096 even where the model could read more. Documents that are longer, by
            an estimate of 4 bytes a token, are marked as truncated.
        priority: of the request, as Cohere has it: 0 is the highest. From cohere 5.20.
        relevant_spans: True, or Cohere's settings for it: the parts of each document that the score
            came from, as `passages`. From cohere 7.3.
        batch: documents in one request, 1 or more; Cohere recommends no more than 1,000.
        concurrency: requests of this process at a time, 1 or more.
        timeout: seconds for one request where the deadline allows more.
        retries: how often and when a request is sent again.
        circuit: when requests stop because the service keeps failing; None never stops them.

    Raises:
        InvalidArgument: an argument has an invalid value.
        MissingExtra: cohere is not installed; raised on first use.
    """

    model: str = "rerank-v4.0-fast"
    _: KW_ONLY
    client: Any = field(default=None, hash=False)
    api_key: Any = None
    base_url: str | None = None
    max_tokens_per_doc: int | None = None
    priority: int | None = None
    relevant_spans: bool | Mapping[str, Any] = field(default=False, hash=False)
    batch: int = 1000
    concurrency: int = 16
    timeout: float = 30.0
    retries: Retries = field(default_factory=Retries)
    circuit: Circuit | None = field(default_factory=Circuit)

    def __post_init__(self) -> None:
        """Check the arguments; nothing is imported or sent."""
        if not isinstance(self.model, str) or not self.model:
            raise InvalidArgument("model", self.model, "must be the name of a rerank model")
        self._check_client()
        for name in ("batch", "concurrency"):
            count(name, getattr(self, name))
        if self.max_tokens_per_doc is not None:
            count("max_tokens_per_doc", self.max_tokens_per_doc)
        if self.priority is not None and not is_whole(self.priority, 0):
            raise InvalidArgument("priority", self.priority, "must be a whole number, 0 or more")
        if not isinstance(self.relevant_spans, bool | Mapping):
            remedy = "must be True, False or Cohere's settings for it"
            raise InvalidArgument("relevant_spans", self.relevant_spans, remedy)
        check_policy(self.timeout, self.retries, self.circuit)
        plain_numbers(self, "batch", "concurrency", "max_tokens_per_doc", "priority")

    def _check_client(self) -> None:
        if self.client is None:
            key = as_key(self.api_key, _DIALECT.variables, needed=True)
            object.__setattr__(self, "api_key", key)
            if self.base_url is not None:
                transport.check_url(self.base_url, "base_url")
            return
        if not callable(getattr(self.client, "rerank", None)):
            raise InvalidArgument("client", self.client, "must have a method rerank()")
        if isinstance(self.api_key, Key) and not self.api_key.given:  # by `dataclasses.replace`
            object.__setattr__(self, "api_key", None)
        for name in ("api_key", "base_url"):
            if getattr(self, name) is not None:
                raise InvalidArgument(
                    name, "***", "cannot be given with client=: set it on the client"
                )

    _repr_html_ = html_by("configured_html", "_notebook")

    def __repr__(self) -> str:
        """Show the model and where it is, without the key."""
        own = "" if self.client is None else f", client=<{type(self.client).__qualname__}>"
        where = "" if self.base_url is None else f", base_url={self.base_url.partition('?')[0]!r}"
        return f"CohereRerank({self.model!r}{own}{where})"

    def __getstate__(self) -> list[Any]:
        """Return the fields, for pickle; keys stay behind.

        Raises:
            InvalidArgument: there is a client, which contains a key.
        """
        if self.client is not None:
            remedy = "contains a key and is not pickled: make it in the process that uses it"
            raise InvalidArgument("client", self.client, remedy)
        return [getattr(self, name) for name in self.__slots__]

    @property
    def name(self) -> str:
        """The model."""
        return self.model

    @property
    def cache_key(self) -> str:
        """What its scores depend on: the model, where it is, and how much of a text it reads.

        Cohere does not say when a model changes under its name.

        Raises:
            InvalidArgument: there is a client, whose endpoint is unknown.
        """
        if self.client is not None:
            remedy = "its endpoint is unknown, so scores cannot be cached"
            raise InvalidArgument("client", self.client, remedy)
        where, _, query = self._where().partition("?")
        stated = ["cohere", self.model, where, self.max_tokens_per_doc]
        if query:  # as of `HTTPRerank`
            stated.append(hashlib.sha256(query.encode("utf-8", "surrogatepass")).hexdigest())
        return json.dumps(stated)

    def estimate(self, pairs: Sequence[tuple[str, str]]) -> Usage:
        """Return the predicted pairs and billed units; tokens are not known in advance."""
        number = sum(map(has_text, pairs))
        return Usage(pairs=number, billed_units=amounts.units(pairs, self.batch))

    def warmup(self) -> None:
        """Import the SDK and make its client; nothing is sent or billed.

        Raises:
            MissingExtra: cohere is not installed.
            AuthenticationFailed: there is no key.
            InvalidArgument: the installed cohere lacks what an argument asks for.
        """
        client = self.client
        if client is None:
            client = sdk.client_of(Secret(self.api_key.read(self.name)), self._where())
        sdk.arguments(self, client, None)

    def _kind(self) -> ScoreKind:
        return ScoreKind.PROBABILITY

    async def _scored(self, pairs: list[tuple[str, str]], deadline: Deadline | None) -> PairScores:
        check_queries(self.name, (query for query, _ in pairs))
        client, key, load_ms = self.client, Secret[str | None](None), 0.0
        where = self._where()
        if client is None:
            key = Secret(await self.api_key.read_async(self.name))
            make = partial(sdk.client_of, key, where)
            if not sdk.ready(key, where):
                load_ms = await batches.load(make, deadline, self.name)
            client = make()
        way = batches.Way(
            self.name,
            partial(self._ask, client, key, sdk.arguments(self, client, deadline)),
            self.retries,
            breaker_of(
                where, self.circuit, self.name, scope_of(self.model, self.api_key or Key(None))
            ),
            self.timeout,
            self.batch,
            batches.gate_of(where, self.concurrency),
        )
        work = await batches.score(way, pairs, deadline)
        limit = self.max_tokens_per_doc or _DIALECT.reads or 0
        longer = np.array([amounts.tokens(text) > limit for _, text in pairs])
        note = (
            f"{self.name} reads {number_of(limit, 'token')} of a document: "
            f"{int(longer.sum())} of {len(pairs)} "
            "are longer by an estimate of 4 bytes a token; see max_tokens_per_doc="
        )
        return batches.pair_scores(
            work,
            kind=self._kind(),
            model=ModelIdentity(self.name),
            truncated=longer,
            load_ms=load_ms,
            notes=(note,) if longer.any() else (),
        )

    def _where(self) -> str:
        if self.client is not None:
            return sdk.named(self.client)
        named = os.environ.get("CO_API_URL")
        if named and not self.base_url:
            transport.check_url(named, "CO_API_URL")
        return self.base_url or named or _PRODUCTION

    async def _ask(
        self,
        client: Any,  # noqa: ANN401 - anything with rerank()
        key: Secret[str | None],
        arguments: dict[str, Any],
        query: str,
        texts: Sequence[str],
    ) -> batches.Reply:
        call = partial(
            client.rerank, model=self.model, query=query, documents=list(texts), **arguments
        )
        failed: BaseException | None = None
        try:
            if inspect.iscoroutinefunction(client.rerank):
                reply = await call()
            else:
                reply = await workers.run_async(call, None, self.name)
                if inspect.isawaitable(reply):
                    reply = await reply
        except RunoffError as error:
            failed = transport.without_frames(error)
        except Exception as error:  # noqa: BLE001 - the SDK's and botocore's have no base in common
            failed = self._failed(error, key)
        if failed is not None:
            raise failed  # here, so that the SDK's error, with body and headers, is not its context
        said = sdk.plain(reply)
        return batches.read(_DIALECT, said, self.name)

    def _failed(self, error: Exception, key: Secret[str | None]) -> Exception:
        """Return runoff's error for one of the SDK; other errors are returned as they are."""
        status, said, headers = sdk.answer(error)
        known = key.reveal() or sdk.key_of(self.client)
        hide = partial(masked, sent=Secret({"Authorization": known} if known else {}))
        if status is not None:
            where = "base_url=" if self.client is None else "client="
            failed = transport.status_error(status, said, headers, self.name, hide, where)
        elif type(error).__module__.partition(".")[0] in {"httpx", "httpcore"}:
            failed = transport.failed(error, self.name)
        else:
            reason = reason_of(error)
            if not reason and self.client is not None and not sdk.misread(error):
                return error
            kind = {"timeout": DeadlineExceeded, "connection": ConnectionFailed}.get(reason)
            failed = (kind or BadReply)(f"{self.name}: {hide(error_text(error))}")
        return failed
