"""What an explorer answers, made up: any number of queries, hostile texts, delays and faults.

The page of the explorer is tested against it where a recording would be slow or tame.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

HOSTILE = [
    "<script>document.title = 'owned'</script><img src=x onerror=\"document.title='owned'\">",
    "\u202egnihton si siht\u202c \u2066isolated\u2069 then plain",
    "مرحبا بالعالم، كيف أجد الملف؟",
    "👩‍👩‍👧‍👦 family 🏳️‍🌈 flag é combining z\u0361\u035c\u0321algo",
    "".join(["nospaces"] * 2000),
    "\x00\x07 control \ud83d".encode("utf-16", "surrogatepass").decode("utf-16", "replace"),
    "javascript:alert(1)//</script></style>]]>--><b>",
    "",
]
_TEXT = (
    "The function returns an iterator that yields the lines of a file, one after the other, and "
    "closes the file at the end. Give an encoding, or the one of the locale is used. "
)
_STAGES = ("not_retrieved", "fused_low", "demoted", "truncated", "filtered")


@dataclass
class Answers:
    """An explorer of made-up answers.

    Attributes:
        queries: how many.
        hostile: use texts that break pages which take them for HTML.
        labels: whether judgments exist.
        texts: whether texts were recorded.
        live: whether a question can be asked.
        kind: as the state says.
        delay: seconds that each answer but that of the state takes.
        faults: the error of each address that fails.
        late: seconds that the replay of a window takes, and the decision twice as long.
        long: characters of the first document's text.
        asked: every question.
        grades: what was graded, by query and document.
    """

    queries: int = 40
    hostile: bool = False
    labels: bool = True
    texts: bool = True
    live: bool = True
    kind: str = "recording"
    delay: float = 0.0
    faults: dict[str, tuple[int, str]] = field(default_factory=dict)
    late: dict[int, float] = field(default_factory=dict)
    long: int = 0
    asked: list[tuple[str, str, object]] = field(default_factory=list)
    grades: dict[tuple[str, str], int] = field(default_factory=dict)

    def answer(self, method: str, path: str, body: object = None) -> tuple[int, object]:
        """Return the status and the answer."""
        self.asked.append((method, path, body))
        split = urlsplit(path)
        name = split.path.removeprefix("api/")
        wanted = {key: one[0] for key, one in parse_qs(split.query).items()}
        if name != "state":
            time.sleep(self.delay)
        if name in self.faults:
            status, sentence = self.faults[name]
            return status, {"error": sentence}
        found = getattr(self, f"_{name}", None)
        if found is None:
            return 404, {"error": f"There is no address {name}."}
        return 200, found(body if method == "POST" else wanted)

    def _say(self, index: int, otherwise: str) -> str:
        return HOSTILE[index % len(HOSTILE)] if self.hostile else otherwise

    def _row(self, index: int, settings: str | None = None) -> dict[str, object]:
        rng = random.Random(index if settings is None else f"{index} {settings}")
        before = round(rng.random(), 3)
        after = round(min(1.0, max(0.0, before + rng.gauss(0.08, 0.2))), 3)
        measured = self.labels
        return {
            "query_id": self._say(index, "") + f"q{index}",
            "text": self._say(index, f"how do I read lines of file {index}?") or f"query {index}",
            "gain": after - before if measured else None,
            "before": before if measured else None,
            "after": after if measured else None,
            "loss": 1 - after if measured else None,
            "loss_stage": _STAGES[index % len(_STAGES)] if measured else None,
            "length": 4 + index % 9,
            "language": ("en", "de", "ar")[index % 3],
            "slices": [f"length={'short' if index % 2 else 'long'}"],
            "unjudged": round(rng.random(), 2) if measured else None,
            "judged": measured,
            "outcome": "degraded" if index % 17 == 3 else "complete",
            "latency_ms": 20 + 200 * rng.random(),
            "time": 1_764_547_200 + 60 * index if self.kind == "observations" else None,
        }

    def _state(self, _: object) -> object:
        return {
            "version": "0",
            "kind": self.kind,
            "title": self._say(0, "made-up collection"),
            "has_texts": self.texts,
            "live": self.live,
            "can_judge": True,
            "can_compare": self.kind == "compare",
            "has_trend": True,
            "sources": ["bm25", "dense"],
            "measure": None if self.kind == "observations" else "nDCG@10",
            "counts": {
                "queries": self.queries,
                "judged": self.queries if self.labels else 0,
                "degraded": self.queries // 17,
            },
            "slices": ["length=short", "length=long"],
            "languages": ["en", "de", "ar"],
            "settings": None if self.kind == "observations" else self._settings(),
            "labels": self._count(),
            "notes": [self._say(0, "12% of the results are not judged.")],
        }

    def _settings(self) -> dict[str, object]:
        return {
            "window": 50,
            "blend": 0.5,
            "weights": {"bm25": 0.5, self._say(0, "dense"): 0.5},
            "threshold": None,
            "key": "w50",
            "fusion": "Convex",
            "ranges": {
                "window": [1, 100],
                "blend": [0, 1],
                "weight": [0, 1],
                "threshold": [-10, 10],
            },
            "replayable": True,
            "why_not": None,
        }

    def _count(self) -> dict[str, object]:
        return {"path": "/tmp/labels.tsv", "count": len(self.grades)}

    def _queries(self, wanted: dict[str, str]) -> object:
        rows = [self._row(index, wanted.get("settings")) for index in range(self.queries)]
        words = wanted.get("find", "").lower().split()
        only = wanted.get("only")
        kept = [
            row
            for row in rows
            if all(one in f"{row['query_id']} {row['text']}".lower() for one in words)
            and wanted.get("language", row["language"]) == row["language"]
            and wanted.get("slice", row["slices"][0]) in row["slices"]
            and (only != "harmed" or (row["gain"] or 0) < 0)
        ]
        key = {"latency": "latency_ms"}.get(wanted.get("sort", "gain"), wanted.get("sort", "gain"))
        kept.sort(
            key=lambda row: (row[key] is None, row[key] or 0 if key != "text" else row[key]),
            reverse=wanted.get("order") == "desc",
        )
        offset, limit = int(wanted.get("offset", 0)), int(wanted.get("limit", 100))
        ids = [row["query_id"] for row in kept]
        place = ids.index(wanted["around"]) if wanted.get("around") in ids else None
        if place is not None:
            offset = place - place % limit
        rows = kept[offset : offset + limit]
        return {"total": len(kept), "offset": offset, "place": place, "rows": rows}

    def _text(self, doc: int) -> str:
        if self.long and doc == 0:
            return (_TEXT * (self.long // len(_TEXT) + 1))[: self.long]
        return self._say(doc, f"Document {doc}. " + _TEXT * (1 + doc % 4))

    def _item(self, query: str, doc: int, rank: int) -> dict[str, object]:
        text = self._text(doc)
        name = f"d{doc}"
        at = text.find("file")
        return {
            "doc_id": name,
            "title": None if doc % 5 == 4 else self._say(doc + 1, f"Reading files, part {doc}"),
            "text": text[:4000] if self.texts else None,
            "text_cut": len(text) > 4000,
            "rank": rank,
            "sources": {
                "bm25": {"rank": doc + 1, "score": 20.0 - doc},
                "dense": None if doc % 3 == 1 else {"rank": 30 - doc, "score": 0.9 - doc / 100},
            },
            "fusion_rank": doc + 1,
            "fusion_score": 1 - doc / 40,
            "rerank_rank": rank,
            "rerank_score": 8.5 - rank,
            "scored": doc != 7,
            "truncated": doc == 2,
            "fate": None,
            "grade": self.grades.get((query, name), {0: 3, 3: 2, 5: 1, 8: 0}.get(doc)),
            "marks": [[at, at + 4]] if at >= 0 else [[0, 10**9]],
        }

    def _query(self, wanted: dict[str, str]) -> object:
        name = wanted["id"]
        index = int(name.rsplit("q", 1)[-1]) if name[-1:].isdigit() else 0
        row = self._row(index)
        rng = random.Random(f"{index} {wanted.get('settings')} {wanted.get('of')}")
        order = sorted(range(30), key=lambda doc: doc + rng.gauss(0, 6))
        return {
            "query_id": name,
            "text": row["text"],
            "language": "en",
            "outcome": {
                "status": row["outcome"],
                "sentences": [] if row["outcome"] == "complete" else ["dense was late: 250 ms."],
            },
            "latency": [
                {"stage": "bm25", "ms": 3.1},
                {"stage": "dense", "ms": 11.9},
                {"stage": "rerank", "ms": 131.0},
            ],
            "measure": {key: row[key] for key in ("before", "after", "gain")}
            if self.labels
            else None,
            "before": [self._item(name, doc, rank) for rank, doc in enumerate(range(30), 1)],
            "after": [self._item(name, doc, rank) for rank, doc in enumerate(order, 1)],
            "relevant_missing": [
                {"doc_id": "d99", "grade": 2, "where": self._say(2, "No source found it.")}
            ],
        }

    def _document(self, wanted: dict[str, str]) -> object:
        known = wanted["doc"].startswith("d") and wanted["doc"][1:].isdigit()
        stages = ("bm25", "dense", "fusion", "rerank", "answer")
        return {
            "doc_id": wanted["doc"],
            "text": self._text(int(wanted["doc"][1:])) if known and self.texts else None,
            "grade": None,
            "way": [
                {
                    "stage": stage,
                    "sentence": self._say(at, f"{stage} had it."),
                    "rank": at + 1 if known else None,
                    "score": 0.5 if known else None,
                }
                for at, stage in enumerate(stages)
            ],
            "sentence": "It came third." if known else "No source found this document.",
        }

    def _matches(self, _: object) -> object:
        return {
            "available": True,
            "why_not": None,
            "matches": [
                {"query": [0, 3], "document": [0, 8], "cosine": 0.91, "weight": 0.2},
                {"query": [4, 6], "document": [20, 28], "cosine": 0.4, "weight": 0.9},
                {"query": [7, 8], "document": None, "cosine": 0.0, "weight": 0.1},
            ],
        }

    def _search(self, body: dict[str, str]) -> object:
        return {**self._query({"id": "q0"}), "query_id": "live-1", "text": body["text"]}

    def _replay(self, body: dict[str, object]) -> object:
        window = body["window"]
        time.sleep(self.late.get(window, 0) * (2 if body.get("full") else 1))
        gain = 0.07 - abs(window - 40) / 800
        summary = {
            "measure": "nDCG@10",
            "before": 0.412,
            "after": 0.412 + gain,
            "gain": gain,
            "low": gain - 0.024,
            "high": gain + 0.026,
            "sentence": "keep: it helps on these queries, by more than the noise.",
            "unjudged": 0.12,
            "against": "Convex of bm25 and dense",
            "fused": 0.41,
        }
        return {
            "settings": f"w{window}",
            "took_ms": 31.0,
            "summary": summary if self.labels else None,
            "latency": {"p50": 2.6 * window, "p95": 4.1 * window, "estimated": window != 50},
            "changed": abs(window - 50),
        }

    def _losses(self, _: object) -> object:
        losses = (0.21, 0.08, 0.12, 0.03, -0.01)
        return {
            "total": sum(losses),
            "stages": [
                {
                    "stage": stage,
                    "label": stage.replace("_", " "),
                    "loss": loss,
                    "share": loss / sum(losses),
                    "examples": [
                        {
                            "query_id": f"q{index}",
                            "text": self._say(index, f"question {index}"),
                            "doc_id": f"d{index}",
                            "loss": 0.3 - index / 10,
                        }
                        for index in range(3 if loss > 0 else 0)
                    ],
                }
                for stage, loss in zip(_STAGES, losses, strict=True)
            ],
            "sentence": "Most is lost because no source finds the document.",
        }

    def _labels(self, body: dict[str, object]) -> object:
        key = (body["query_id"], body["doc_id"])
        if body["grade"] is None:
            self.grades.pop(key, None)
        else:
            self.grades[key] = body["grade"]
        return {"labels": self._count()}

    def _trend(self, _: object) -> object:
        points = [
            {
                "at": f"2026-11-{day:02}T12:00:00Z",
                "value": 0.05 + 0.01 * (day % 5),
                "low": 0.05 - 0.4 / day,
                "high": 0.09 + 0.4 / day,
                "n": 40 * day,
            }
            for day in range(1, 29)
        ]
        return {
            "series": [{"name": "difference in nDCG@10", "points": points, "confidence": 0.95}],
            "slices": [
                {
                    "name": "language=de",
                    "decision": "undecided",
                    "value": 0.02,
                    "low": -0.1,
                    "high": 0.1,
                    "n": 300,
                },
            ],
            "notes": [],
            "statement": "The second stage helps, by 0.07; the chance that this is noise is 5%.",
            "alarms": [self._say(0, "The scores drift since 20 November.")],
        }

    def _compare(self, _: object) -> object:
        rows = [self._row(index) for index in range(self.queries)]
        return {
            "a": {"title": "mini", "settings": "window 50"},
            "b": {"title": "late interaction", "settings": "window 20"},
            "summary": {
                "measure": "nDCG@10",
                "a": 0.41,
                "b": 0.44,
                "difference": 0.03,
                "low": -0.004,
                "high": 0.064,
                "sentence": "undecided: the interval holds zero.",
            },
            "rows": [
                {
                    "query_id": row["query_id"],
                    "text": row["text"],
                    "a": row["before"],
                    "b": row["after"],
                    "difference": row["gain"],
                    "overlap": 0.6,
                }
                for row in rows
            ],
        }
