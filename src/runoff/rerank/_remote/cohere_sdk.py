"""How Cohere's SDK is called and its replies are read; features are detected, not versions."""

from __future__ import annotations

import importlib
import inspect
import itertools
import math
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runoff._waiting import private_loop
from runoff.errors import InvalidArgument, MissingExtra
from runoff.rerank._remote import transport

if TYPE_CHECKING:
    import asyncio

    from runoff.deadline import Deadline
    from runoff.rerank._remote.access import Secret
    from runoff.rerank._remote.cohere import CohereRerank

_clients: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, dict[tuple[Secret[str | None], str], Any]
] = weakref.WeakKeyDictionary()


def client_of(key: Secret[str | None], where: str) -> Any:  # noqa: ANN401 - the SDK's
    """Return the private loop's client for a key and a URL.

    Raises:
        MissingExtra: cohere is not installed.
    """
    known = _clients.setdefault(private_loop.running(), {})
    if (key, where) not in known:
        try:
            cohere = importlib.import_module("cohere")
        except ModuleNotFoundError as error:
            raise MissingExtra("cohere", "cohere") from error
        made = cohere.AsyncClientV2(
            api_key=key.reveal(),
            base_url=where,
            client_name="runoff",
            httpx_client=transport.client(),
        )
        return known.setdefault((key, where), made)
    return known[key, where]


def ready(key: Secret[str | None], where: str) -> bool:
    """Whether there is a client: importing the SDK takes about a second."""
    return (key, where) in _clients.get(private_loop.running(), {})


def key_of(client: object) -> str | None:
    """Return the key that a client of Cohere's sends, for masking; None where it is not known."""
    key = getattr(getattr(client, "_client_wrapper", None), "_token", None)
    return key if isinstance(key, str) else None


_numbers = itertools.count(1)
_names: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()


def named(client: Any) -> str:  # noqa: ANN401 - anything with rerank()
    """Return a name for a user's client, different from all others where that is possible."""
    kind = type(client).__qualname__
    try:
        return _names.setdefault(client, f"{kind}#{next(_numbers)}")
    except TypeError:  # it has no hash or takes no weak reference
        return f"{kind}#{id(client):x}"


_SINCE = {"max_tokens_per_doc": "5.18", "priority": "5.20", "relevant_spans": "7.3"}


def arguments(
    config: CohereRerank,
    client: Any,  # noqa: ANN401 - see `client`
    deadline: Deadline | None,
) -> dict[str, Any]:
    """Return the optional arguments of `rerank` that were asked for.

    Raises:
        InvalidArgument: this client does not know one of them.
    """
    spans = config.relevant_spans
    wanted = {
        "max_tokens_per_doc": config.max_tokens_per_doc,
        "priority": config.priority,
        "relevant_spans": {"mode": "enabled"} if spans is True else dict(spans) if spans else None,
    }
    try:
        kinds = {one.name: one.kind for one in inspect.signature(client.rerank).parameters.values()}
    except (TypeError, ValueError):
        kinds = {}
    anything = not kinds or inspect.Parameter.VAR_KEYWORD in kinds.values()
    given = {name: value for name, value in wanted.items() if value is not None}
    for name, value in given.items():
        if name not in kinds and not anything:
            remedy = f"needs cohere {_SINCE[name]} or newer, or a client whose rerank() takes it"
            raise InvalidArgument(name, value, remedy)
    if "request_options" in kinds:
        left = math.inf if deadline is None else deadline.remaining()
        seconds = max(1, math.ceil(min(config.timeout, left)))
        given["request_options"] = {"max_retries": 0, "timeout_in_seconds": seconds}
    return given


def misread(error: BaseException) -> bool:
    """Whether Cohere's SDK raised an error because a reply has an unexpected form."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    module = "" if step is None else str(step.tb_frame.f_globals.get("__name__", ""))
    return module.partition(".")[0] in {"cohere", "json", "pydantic", "pydantic_core"}


def _get(holder: object, name: str) -> Any:  # noqa: ANN401 - any value
    return holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)


def plain(reply: object) -> dict[str, Any]:
    """Return a reply as JSON has it, from the SDK's objects or from mappings."""
    results = _get(reply, "results")
    if isinstance(results, list | tuple):
        results = [
            {
                "index": _get(one, "index"),
                "relevance_score": _get(one, "relevance_score"),
                "relevant_spans": [
                    {name: _get(span, name) for name in ("start", "end", "score")}
                    for span in _get(one, "relevant_spans") or ()
                ],
            }
            for one in results
        ]
    meta = _get(reply, "meta")
    units, tokens = _get(meta, "billed_units"), _get(meta, "tokens")
    return {
        "results": results,
        "meta": {
            "billed_units": {"search_units": _get(units, "search_units")},
            "tokens": {"input_tokens": _get(tokens, "input_tokens")},
        },
    }


def answer(error: Exception) -> tuple[int | None, object, Mapping[str, str]]:
    """Return status, body and headers of an SDK's error; of botocore's, too."""
    status, said = getattr(error, "status_code", None), getattr(error, "body", None)
    headers = getattr(error, "headers", None)
    response = getattr(error, "response", None)
    if status is None and isinstance(response, Mapping):
        meta = response.get("ResponseMetadata") or {}
        status, said = meta.get("HTTPStatusCode"), (response.get("Error") or {}).get("Message")
        headers = meta.get("HTTPHeaders")
    elif status is None:
        status, headers = getattr(response, "status_code", None), getattr(response, "headers", None)
    usable = isinstance(status, int) and not isinstance(status, bool)
    return (status if usable else None), said, headers if isinstance(headers, Mapping) else {}
