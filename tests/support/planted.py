"""A secret key and header, and every place where they could show up."""

import copy
import dataclasses
import json
import pickle
import traceback
from collections.abc import Mapping

from runoff._util.provenance import encode
from runoff.errors import InvalidArgument, RunoffError
from runoff.testing.chaos import FAULTS, Fault

KEY = "sk/planted+0123456789=Zz"  # PHP and others write its first slash as \/
HEADER = "hd-planted.9876543210.yy"
PARTS = ("planted+0123", "planted.9876")


def echo(status, form):
    """Make a fault whose reply repeats the key and the header of the request."""

    def act(exchange):
        given = exchange.headers
        key = given["Authorization"].removeprefix("Bearer ")
        body, headers = form(f"{key} {given.get('X-Token', '')}".strip())
        exchange.send(status, body.encode(), headers)

    return Fault(f"echo {status}", RunoffError, act)


def as_json(**said):
    return json.dumps(said), {}


ECHOES = {
    "plain": lambda sent: as_json(message=f"no such key: {sent}"),
    "escaped": lambda sent: (as_json(error=sent)[0].replace("/", "\\/"), {}),
    "nested": lambda sent: as_json(detail=[{"input": {sent: sent}, "msg": sent}]),
    "cut": lambda sent: as_json(message="x" * 185 + sent),
    "html": lambda sent: (f"<h1>{sent}</h1>", {"Content-Type": "text/html"}),
    "type": lambda sent: ("{", {"Content-Type": sent}),
    "coding": lambda sent: ("{}", {"Content-Encoding": sent}),
    "place": lambda sent: ("{}", {"Location": f"https://{sent.split()[-1]}/"}),
}
SITUATIONS = {
    "success": None,
    **{name: FAULTS[name] for name in ("401", "503", "hang", "reset", "nan")},
    **{
        f"{status} {form}": echo(status, body)
        for form, body in ECHOES.items()
        for status in (200, 307, 401, 418, 422, 500)
    },
}


def texts(value):
    """Yield every text that Python makes of a value, and how it was made."""
    yield "repr", repr(value)
    yield "str", str(value)
    yield "format", f"{value}"
    yield "in a list", repr([value])
    names = getattr(value, "__slots__", ())
    yield "fields", repr({name: getattr(value, name, None) for name in names})
    yield "vars", repr(getattr(value, "__dict__", {}))
    for way in (copy.copy, copy.deepcopy):
        yield "copy", repr(way(value))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        try:
            yield "pickle", repr(pickle.dumps(value, protocol))
        except (InvalidArgument, pickle.PicklingError, TypeError, AttributeError) as error:
            yield "no pickle", f"{error!r}"
    if dataclasses.is_dataclass(value):
        for way in (dataclasses.asdict, dataclasses.astuple):
            try:
                plain = way(value)
            except TypeError as error:  # a lock, or another part that is not copied
                yield way.__name__, repr(error)
                continue
            yield way.__name__, repr(plain)
            yield f"{way.__name__} as JSON", json.dumps(plain, default=repr)


def told(error):
    """Yield every text of an error and of its causes."""
    yield "traceback", "".join(traceback.format_exception(error))
    seen = set()
    left = [error]
    while left:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield "error", f"{one!r} {one} {one.args!r} {vars(one)!r}"
        if isinstance(one, RunoffError):  # others may hold what cannot be pickled
            yield "pickled error", repr(pickle.dumps(one))
        left += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]


def answered(response):
    """Yield every text of an answer's trace, outcome and provenance."""
    yield "response", f"{response!r} {response}"
    yield "outcome", repr(response.outcome)
    yield "trace", repr(response.trace)
    yield "explained", response.explain()
    yield "explained", response.explain("d0")
    yield "html", response._repr_html_()
    yield "pickle", repr(pickle.dumps(response))
    for one in response:
        yield "provenance", encode(response, one)


def logged(records):
    """Yield everything logged, except a server's headers, which httpcore repeats at DEBUG."""
    for record in records:
        if record.name.startswith("httpcore") and "receive_response_headers" in record.msg:
            continue
        yield f"log of {record.name}", f"{record.getMessage()} {record.args!r} {vars(record)!r}"


def check(found, where=""):
    leaks = [
        f"{where} {what}: ...{text[max(0, text.index(part) - 150) :][:200]}..."
        for what, text in found
        for part in PARTS
        if part in text
    ]
    assert not leaks, "\n".join(leaks)


def framed(error):
    """Yield every local variable of the frames of an error and of its causes, tests left out."""
    seen = set()
    left = [error]
    while left:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        for frame, _ in traceback.walk_tb(one.__traceback__):
            place = frame.f_code.co_filename
            if "/tests/" in place or "runoff/testing" in place:
                continue
            for name, value in frame.f_locals.items():
                yield f"{place}:{name}", repr(value)
                if isinstance(value, Mapping):  # some reporters write these out whatever their repr
                    yield f"{place}:{name}", repr(dict(value))
        left += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]
