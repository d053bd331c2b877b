"""The explorer as one file that needs no server: the page with its answers inside."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from runoff._util.messages import number_of
from runoff._util.text import utf8
from runoff.errors import InvalidArgument, RunoffError
from runoff.report._explorer.judged import MEASURE
from runoff.report._explorer.settings import parsed_settings
from runoff.report._explorer.static_files import static

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runoff.report._explorer.explorer import Explorer
    from runoff.report._explorer.recorded import Recorded


_DETAILED = 300  # queries whose answers are inside
_SHOWN, _CUT = 20, 1000  # documents on each side, and characters of each text
_WINDOWS = (5, 10, 20, 50, 100)
_BLENDS = (None, 0.3, 0.5, 0.7)
_FEW = 2000  # queries up to which a replay has the value of each
_SAFE = "!'()*-._~"  # what JavaScript's encodeURIComponent leaves


def write_offline(explorer: Explorer, path: Path) -> None:
    """Write the page with everything that a reader can reach in it; it loads nothing.

    The answers to at most 300 queries are inside, those that changed most first.

    Args:
        explorer: of a recording or of observations.
        path: the file; an existing one is replaced.

    Raises:
        InvalidArgument: the path is a folder, or its folder does not exist.
        OSError: the file cannot be written.
    """
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise InvalidArgument("path", str(path), "must be a file in an existing folder")
    page = _page(_data(explorer))
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(page, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _page(data: dict[str, Any]) -> str:
    """Return the page with its script, its style and the data inside."""
    script, style = static("explorer.js"), static("explorer.css")
    script = re.sub(r"</(?=script)", r"<\\/", script, flags=re.IGNORECASE)
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    plain = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    page = static("index.html")
    page, styles = re.subn(
        r"<link\b[^>]*explorer\.css[^>]*>", lambda _: f"<style>{style}</style>", page
    )
    inside = (
        f'<script type="application/json" id="runoff-data">{plain}</script>'
        f'<script type="module">{script}</script>'
    )
    page, scripts = re.subn(r"<script\b[^>]*explorer\.js[^>]*>\s*</script>", "", page)
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    head, found, rest = page.partition("<head>")
    body, ended, end = rest.rpartition("</body>")
    if not (styles == scripts == 1 and found and ended):
        raise RunoffError("the explorer's page cannot be put into one file: install runoff again")
    return f"{head}{found}{meta}{body}{inside}{ended}{end}"


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _quoted(name: str) -> str:
    if name != utf8(name):
        raise InvalidArgument("id", name, "has a lone surrogate, which no address can hold")
    return quote(name, safe=_SAFE)


def _data(explorer: Explorer) -> dict[str, Any]:
    """Return the answers by address, the texts by document, and the replays of a grid."""
    explorer.prepare()
    state = explorer.answer("GET", "api/state")
    queries = explorer.answer("GET", "api/queries?limit=1000")
    while len(queries["rows"]) < queries["total"]:
        more = explorer.answer("GET", f"api/queries?limit=1000&offset={len(queries['rows'])}")
        queries["rows"] += more["rows"]
    state |= {"live": False, "can_judge": False}
    answers: dict[str, Any] = {"api/state": state, "api/queries": queries}
    texts: dict[str, str] = {}
    chosen = sorted(queries["rows"], key=lambda row: -abs(row["gain"] or 0.0))[:_DETAILED]
    if len(chosen) < queries["total"]:
        note = (
            f"This file has the answers of {number_of(len(chosen), 'query')}, those that changed "
            "most."
        )
        state["notes"] = [*state["notes"], note]
    for row in chosen:
        name = row["query_id"]
        for side in ("",) if explorer.compared is None else ("", "&of=a", "&of=b"):
            address = f"api/query?id={_quoted(name)}{side}"
            answers[address] = found = _detail(explorer, address, texts)
            for one in found["relevant_missing"] if not side else ():
                asked, doc = map(_quoted, (name, one["doc_id"]))
                lost = f"api/document?query={asked}&doc={doc}"
                answers[lost] = {**explorer.answer("GET", lost), "text": None}
    for view in ("losses", "trend", "compare"):
        if _has(explorer, view):
            answers[f"api/{view}"] = explorer.answer("GET", f"api/{view}")
    replays = [] if explorer.recorded is None else list(_replays(explorer.recorded))
    return {"answers": answers, "texts": texts, "replays": replays}


def _has(explorer: Explorer, view: str) -> bool:
    if view == "trend":
        return explorer.observed is not None
    if view == "compare":
        return explorer.compared is not None
    recorded = explorer.recorded
    return recorded is not None and recorded.judgments.collection is not None


def _detail(explorer: Explorer, address: str, texts: dict[str, str]) -> dict[str, Any]:
    """Return an answer to api/query, whose texts are kept once for all queries."""
    size = f"&shown={_SHOWN}&cut={_CUT}"
    found: dict[str, Any] = explorer.answer("GET", f"{address}{size}")
    for side in ("before", "after"):
        for item in found[side]:
            text = item.pop("text")
            if text:
                texts.setdefault(item["doc_id"], text)
    return found


def _replays(recorded: Recorded) -> Iterator[dict[str, Any]]:
    """Yield the answers of the replays that the sliders of an offline file can reach."""
    replays = recorded.replays
    ranges = replays.sliders()["ranges"]
    own = replays.own
    windows = [own.window]
    if ranges["window"] is not None:
        widest = ranges["window"][1]
        windows = sorted({own.window, *(one for one in _WINDOWS if one <= widest)})
    blends = [own.blend] if ranges["blend"] is None else dict.fromkeys((own.blend, *_BLENDS))
    for window in windows:
        replays.ahead([replace(own, window=window, blend=blend) for blend in blends])
        for blend in blends:
            # the verdict for the recorded settings; it would take minutes for all
            full = (window, blend) == (own.window, own.blend)
            made = replays.replay({"window": window, "blend": blend, "full": full})
            measured = replays.measured(parsed_settings(made["asked"], replays.setup))
            made["per_query"] = {}  # the table is sorted by these, where no server does it
            if measured is not None and len(measured.query_ids) <= _FEW:
                made["per_query"] = measured.by_query(MEASURE)
            yield {"body": made["asked"], "answer": made}
