"""A server on loopback that answers as Elasticsearch and OpenSearch document it.

It holds one index, indexes values by the documented rules of each type of field (`long` cuts
fractions and reads texts, `keyword` writes numbers as texts, `float` rounds to 32 bits, `date`
keeps milliseconds), and answers `_mapping`, `_search` and `_search/scroll`. It is no engine: what
it shows is that requests and replies are those of the documentation.
"""

import contextlib
import functools
import json
import math
from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
from servers import serving

__all__ = ["Index", "running"]


def values_of(source, path):
    """The values at a path, lists flattened, as Elasticsearch sees them."""
    found = [source]
    for part in path.split("."):
        found = [one.get(part) for one in found if isinstance(one, dict)]
    flat = []
    for one in found:
        flat += one if isinstance(one, list) else [one]
    return [one for one in flat if one is not None]


def moment(value):
    """The microseconds of a time, since 1970."""
    time = datetime.fromisoformat(value)
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def term_of(value, field):
    """What a type of field indexes of a value; None for nothing."""
    kind = field["type"]
    if kind == "keyword":
        text = value if isinstance(value, str) else json.dumps(value)
        return text if len(text) <= field.get("ignore_above", 2**31) else None
    if kind == "boolean":
        return {True: True, False: False, "true": True, "false": False, "": False}[value]
    if kind in {"long", "float", "double"}:
        assert not isinstance(value, bool), "numbers reject booleans"
        if kind == "long":
            return math.trunc(float(value)) if isinstance(value, str | float) else value
        return float(np.float32(value)) if kind == "float" else float(value)
    if kind == "date":
        return moment(value) // 1000 * 1000
    return moment(value) if kind == "date_nanos" else value


class Index:
    """One index: its mapping and its documents by id."""

    def __init__(self, properties, documents, *, opensearch=False):
        self.properties = properties
        self.documents = documents
        self.opensearch = opensearch
        self.scrolls = {}
        self.asked = []

    def field(self, path):
        held, found = {"properties": self.properties}, None
        for part in path.split("."):
            found = (held.get("properties") or held.get("fields") or {}).get(part)
            if found is None:
                return None, ""
            whole = path if "properties" in held else path.rpartition(".")[0]
            held = found
        return found, whole

    def terms(self, source, path):
        field, where = self.field(path)
        if field is None:
            return []
        found = [term_of(one, field) for one in values_of(source, where)]
        return [one for one in found if one is not None]

    def holds(self, query, source):
        ((kind, body),) = query.items()
        if kind == "match_all":
            return True
        if kind == "bool":
            inside = [*body.get("filter", ()), *body.get("must", ())]
            good = all(self.holds(one, source) for one in inside)
            good = good and not any(self.holds(one, source) for one in body.get("must_not", ()))
            should = body.get("should", ())
            return good and (not should or any(self.holds(one, source) for one in should))
        ((path, wanted),) = body.items()
        field, _ = self.field(path)
        if kind == "match":
            return self.bm25(path, wanted["query"], source) > 0
        if field is None:
            return False
        if kind == "terms":
            return bool({term_of(one, field) for one in wanted} & set(self.terms(source, path)))
        assert kind == "range", query
        assert wanted.keys() <= {"gte", "lte", "format"}, query
        low, high = (
            None if name not in wanted else term_of(wanted[name], field) for name in ("gte", "lte")
        )
        return any(
            (low is None or one >= low) and (high is None or one <= high)
            for one in self.terms(source, path)
        )

    def bm25(self, path, text, source):
        words = self.words(path)
        mean = sum(map(len, words)) / max(1, len(words))
        held = Counter(source.get(path, "").lower().split())
        score = 0.0
        for word in set(text.lower().split()):
            among = sum(word in one for one in words)
            idf = math.log(1 + (len(words) - among + 0.5) / (among + 0.5))
            length = sum(held.values()) / mean
            score += idf * held[word] / (held[word] + 1.2 * (0.25 + 0.75 * length))
        return score

    @functools.cache  # noqa: B019 - as long as the test
    def words(self, path):
        return [one.get(path, "").lower().split() for one in self.documents.values()]

    def nearness(self, path, vector, source):
        held, asked = np.array(source[path]), np.array(vector)
        similarity = self.properties[path].get("similarity", "cosine")
        inner = float(held @ asked)
        if similarity == "l2_norm":
            return 1 / (1 + float(((held - asked) ** 2).sum()))
        if similarity == "max_inner_product":
            return 1 / (1 - inner) if inner < 0 else inner + 1
        lengths = float(np.linalg.norm(held) * np.linalg.norm(asked))
        return (1 + inner / lengths) / 2 if similarity == "cosine" else (1 + inner) / 2

    def search(self, body):
        count = body.get("size", 10)
        query = body.get("query", {"match_all": {}})
        knn = body.get("knn")
        if "knn" in query:
            ((path, near),) = query["knn"].items()
            knn = {"field": path, "query_vector": near["vector"], **near}
        found = []
        for doc_id, source in self.documents.items():
            if knn:
                if "filter" in knn and not self.holds(knn["filter"], source):
                    continue
                score = self.nearness(knn["field"], knn["query_vector"], source)
            elif not self.holds(query, source):
                continue
            else:
                score = self.matched(query, source)
            found.append((score, doc_id, source))
        found.sort(key=lambda one: -one[0])
        if knn:
            found = found[: knn["k"]]
        hidden = set(body.get("_source", {}).get("excludes", ()))
        return [
            {
                "_index": "docs",
                "_id": doc_id,
                "_score": score,
                "_source": {name: one for name, one in source.items() if name not in hidden},
            }
            for score, doc_id, source in found
        ], count

    def matched(self, query, source):
        if "match" in query:
            ((path, wanted),) = query["match"].items()
            return self.bm25(path, wanted["query"], source)
        if "bool" in query:
            return sum(self.matched(one, source) for one in query["bool"].get("must", ()))
        return 1.0

    def reply(self, hits, scroll=None):
        body = {
            "took": 1,
            "timed_out": False,
            "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
            "hits": {"total": {"value": len(hits), "relation": "eq"}, "hits": hits},
        }
        return body | ({"_scroll_id": scroll} if scroll else {})

    def answer(self, asked):
        """Answer a request as the engine does: status, body and headers."""
        self.asked.append(asked)
        headers = {} if self.opensearch else {"X-Elastic-Product": "Elasticsearch"}
        path, _, options = asked.path.partition("?")
        if path == "/_search/scroll":
            if asked.method == "DELETE":
                for one in asked.body["scroll_id"]:
                    del self.scrolls[one]
                return 200, {"succeeded": True, "num_freed": 1}, headers
            hits, count = self.scrolls[asked.body["scroll_id"]]
            page, self.scrolls[asked.body["scroll_id"]] = hits[:count], (hits[count:], count)
            return 200, self.reply(page, asked.body["scroll_id"]), headers
        if not path.startswith("/docs/"):
            error = {"type": "index_not_found_exception", "reason": "no such index [missing]"}
            return 404, {"error": error, "status": 404}, headers
        if path.endswith("_mapping"):
            return 200, {"docs": {"mappings": {"properties": self.properties}}}, headers
        hits, count = self.search(asked.body)
        if "scroll=" not in options:
            return 200, self.reply(hits[:count]), headers
        self.scrolls["s1"] = hits[count:], count
        return 200, self.reply(hits[:count], "s1"), headers


@contextlib.contextmanager
def running(index):
    """Serve an index, and yield the server's address."""
    with serving(index.answer) as server:
        yield server.url
